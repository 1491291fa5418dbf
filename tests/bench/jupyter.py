#!/usr/bin/python3
"""From start to ready: a plain kernel and the same one in the sandbox, in one run.

usage: PATH=BUILD/shell:$PATH /usr/bin/python3 tests/bench/jupyter.py [ROUNDS]

Needs ipykernel and jupyter_client. A round is one start of each, in turn; prints medians in ms of the
time until the kernel answered, and of one execute request (1+1). The bar: plain + 100 ms."""
import os, statistics, subprocess, sys, tempfile, time

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
work = tempfile.mkdtemp(prefix="sbx-bench-")
os.environ.update(HOME=work, JUPYTER_DATA_DIR=work + "/jupyter")
os.chdir(work)
os.mkdir("study")
subprocess.run(["sbxctl", "init", "ws"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
subprocess.run(["sbxctl", "kernel", "install", "ws", "--name", "sbx", "--allow-degraded"], check=True, stdout=subprocess.DEVNULL)

from jupyter_client.manager import KernelManager


def start(name):
    km = KernelManager(kernel_name=name)
    begin = time.monotonic()
    km.start_kernel(cwd="study", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kc = km.blocking_client()
    kc.start_channels()
    kc.wait_for_ready(timeout=60)
    ready = time.monotonic()
    times = []
    for _ in range(20):
        at = time.monotonic()
        kc.execute_interactive("1+1", output_hook=lambda m: None)
        times.append(time.monotonic() - at)
    kc.stop_channels()
    km.shutdown_kernel()
    return (ready - begin) * 1000, statistics.median(times) * 1000


start("python3")
start("sbx")
seen = {"python3": [], "sbx": []}
for _ in range(rounds):
    for name in seen:
        seen[name].append(start(name))
for name, label in (("python3", "plain"), ("sbx", "sandboxed")):
    ready = [r for r, _ in seen[name]]
    print("%-10s ready %4.0f ms (%.0f-%.0f), execute %.1f ms" % (
        label, statistics.median(ready), min(ready), max(ready), statistics.median(e for _, e in seen[name])))
subprocess.run(["rm", "-rf", work])
