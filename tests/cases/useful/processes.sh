# Work in many processes: multiprocessing in its three ways, shared memory, joblib; /dev/shm has its size.
# run: root
# needs: fuse userns py:numpy py:joblib
# timeout: 90
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
cat >many.py <<'PY'
import multiprocessing as mp, os
from multiprocessing import shared_memory
import numpy as np
from joblib import Parallel, delayed

def square(x):
    return x * x

def fill(name, n):
    m = shared_memory.SharedMemory(name)
    np.ndarray((n,), dtype=np.float64, buffer=m.buf)[:] = 3.0
    m.close()

if __name__ == "__main__":
    for way in "fork", "spawn", "forkserver":
        with mp.get_context(way).Pool(2) as pool:
            assert pool.map(square, range(20)) == [x * x for x in range(20)], way
    # As PyTorch's loaders hand tensors over: 32 MiB from one process to another.
    n = 4 << 20
    m = shared_memory.SharedMemory(create=True, size=8 * n)
    p = mp.Process(target=fill, args=(m.name, n))
    p.start(); p.join()
    assert p.exitcode == 0 and np.ndarray((n,), dtype=np.float64, buffer=m.buf).sum() == 3.0 * n
    m.close(); m.unlink()
    assert Parallel(n_jobs=2)(delayed(square)(x) for x in range(20)) == [x * x for x in range(20)]
    # Large arguments go by a memory map in a temporary folder.
    a = np.ones(1 << 20)
    assert Parallel(n_jobs=2, max_nbytes=1000)(delayed(np.sum)(a) for _ in range(2)) == [1 << 20] * 2
    s = os.statvfs("/dev/shm")
    print(s.f_blocks * s.f_frsize >> 20)
PY
expect_eq "$(sbx-shell $degraded --quiet --shm 200M --ro "$PWD/many.py:/opt/many.py" ws -- python3 /opt/many.py 2>err)" 200 "MiB of /dev/shm ($(tail -n 5 err))"
# Too little is an error, not a crash of the machine.
sbx-shell $degraded --quiet --shm 8M ws -- dd if=/dev/zero of=/dev/shm/x bs=1M count=20 >out 2>&1 && fail "20 MiB in 8"
expect_match "$(cat out)" 'No space left' "what dd says"
