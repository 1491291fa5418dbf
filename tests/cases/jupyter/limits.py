# Limits that tell the user: a warning in the running cell, an error that names the limit, then the exit code.
# run: root user
# needs: fuse py:ipykernel py:jupyter_client
# timeout: 150
from checks import check, equal, limits_enforced
from jup import Kernel, install, new_ws

new_ws("ws")


def killed(k, code, words, exit_code):
    reply, seen = k.run(code)
    check(reply.get("ename") == "SandboxKilled" and words in reply["evalue"], "the reply: %r" % reply)
    equal([c["ename"] for t, c in seen if t == "error"], ["SandboxKilled"], "the cell's error")
    equal(seen[-1][1].get("execution_state"), "idle", "the last state")
    equal(k.ended(), exit_code, "the exit code")
    check(words in k.words(), "the server's log: " + k.words())
    k.stop(now=True)
    return "".join(c["text"] for t, c in seen if t == "stream")


install("ws", "--memory", "300M", "--notebook-dir", "none")
text = killed(Kernel(), """
import time
b = []
while True:
    b.append(bytearray(8 << 20))
    time.sleep(0.1)
""", "memory limit of 300M reached", 137)
check("90 % of the memory limit" in text, "no warning in the cell: " + text)

install("ws", "--time", "12s", "--grace", "1s", "--notebook-dir", "none")
text = killed(Kernel(), """
import time
while True:
    try:
        time.sleep(0.1)
    except KeyboardInterrupt:
        print('interrupted first')
""", "wall clock limit of 12 s reached", 124)
check("90 % of the time limit" in text and "interrupted first" in text, "in the cell: " + text)

# Nobody uses it: said where the last cell was.
install("ws", "--idle", "1s", "--notebook-dir", "none")
k = Kernel()
# A cell that computes is not idle.
equal(k.out("import time; time.sleep(2.5); print('done')"), "done\n", "a silent cell")
said = ""
while "idle limit" not in said:
    m = k.kc.get_iopub_msg(timeout=20)
    said += m["content"].get("text", "")
equal(k.ended(), 124, "the exit code")
k.stop(now=True)

# A kernel that ends by itself is only dead, with its own code.
install("ws", "--notebook-dir", "none")
k = Kernel()
k.kc.execute("import os; os._exit(3)")
equal(k.ended(), 3, "the exit code of os._exit(3)")
k.stop(now=True)
