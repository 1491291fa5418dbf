# Power cuts at random moments of what programs do: what was synced is there, all else is readable.
# By hand: SBX_BUILD=build PYTHONPATH=tests/lib PATH=build/shell:$PATH SEED=n COUNT=states per workload
# WORK=names OWN=0|1 (see tests/crash/disk.h) KEEP=1 python3 THIS, in an empty directory.
# run: root user
# needs: fuse fusermount3 py:sqlite3
# timeout: 600
import os, random, shutil, sys, time

import crash, crash_work

seed = int(os.environ.get("SEED", time.time()))
count = int(os.environ.get("COUNT", 240 if os.environ.get("MODE") != "user" else 50))
only = os.environ.get("WORK", "").split()
print("SEED", seed, flush=True)
if not os.path.exists(crash.RECORDER):
    print("skipped: the recorder is not built")
    sys.exit(77)
database = os.path.join(os.path.dirname(crash.__file__), "crash_db.py")
failed, states = [], 0
for i, work in enumerate(crash_work.WORKLOADS):
    if only and work.__name__ not in only:
        continue
    rng = random.Random(seed * 1000 + i)
    # The smallest ring makes it wrap and be reclaimed; padded sizes come in turns.
    name = work.__name__
    place = crash.Place(name, ring=2048 if name == "large" else rng.choice((128, 128, 512)),
                        pad=rng.random() < 0.3)
    own = rng.random() < 0.5 if "OWN" not in os.environ else os.environ["OWN"] == "1"
    if hasattr(work, "before"):
        place.prepare(work.before, rng)
    place.record(own, whole=name == "settings")
    work(place, rng)
    place.stop()
    # States of large files take long to make.
    states_here = count // 4 if name == "large" else count
    options = ["--seed", seed, "--count", states_here]
    if name.startswith("sqlite"):
        options += ["--database", database]
    code, last, text = crash.check(place, *options)
    print(f"{name}{' (own syncs)' if own else ''}: {last}", flush=True)
    if code == 77:
        print("skipped: " + last)
        sys.exit(77)
    states += states_here
    if name == "pauses" and " 0 clean" in last:
        sys.exit("no state was clean, though nothing was written in the pauses")
    if name == "touched" and " 0 times not all" in last:
        sys.exit("recovery always looked at all files")
    if code != 0:
        failed.append(name)
        print(text)
    # The tests themselves: were no sync ever heard of, promises would be broken.
    if i == 0:
        code, last, _ = crash.check(place, *options, "--lie")
        print(f"a disk that ignores syncs: {last}")
        if code != 1:
            sys.exit("the checks do not notice a disk that ignores syncs")
    if code == 0 or "KEEP" not in os.environ:
        shutil.rmtree(place.dir, ignore_errors=True)
print(f"{states} states")
sys.exit(f"failed: {' '.join(failed)}" if failed else 0)
