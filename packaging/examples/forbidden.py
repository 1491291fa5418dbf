#!/usr/bin/python3
"""Try what code inside the sandbox must not be able to do, and print how each attempt ends.

Exit code 0: everything was refused. 1: something worked.
"""
import glob
import os
import signal
import socket
import sys

TABLE = next(p for p in glob.glob("/datasets/wine", recursive=True) + glob.glob("/datasets/wine/*")
             if os.path.isfile(p))


def append_to_dataset():
    with open(TABLE, "a") as f:
        f.write("1,2,3\n")


def remove_dataset():
    os.unlink(TABLE)


def reach_the_network():
    socket.create_connection(("1.1.1.1", 53), timeout=3).close()


def read_host_password_hashes():
    with open("/etc/shadow") as f:
        f.read()


def list_home_directories():
    if not os.listdir("/root") or not os.listdir("/home"):
        raise OSError(2, "nothing of the host is there")


def see_host_processes():
    mine = [p for p in os.listdir("/proc") if p.isdigit()]
    if len(mine) <= 3:
        raise OSError(3, f"only this sandbox's own {len(mine)} are visible")


def signal_host_processes():
    for pid in range(2, 400):
        if pid != os.getpid() and os.path.isdir(f"/proc/{pid}"):
            os.kill(pid, signal.SIGCONT)
            return
    raise ProcessLookupError(3, "there is none to signal")


def become_root():
    os.setuid(0)


ATTEMPTS = [append_to_dataset, remove_dataset, reach_the_network, read_host_password_hashes,
            list_home_directories, see_host_processes, signal_host_processes, become_root]


def main():
    worked = 0
    for attempt in ATTEMPTS:
        what = attempt.__name__.replace("_", " ")
        try:
            attempt()
        except OSError as e:
            print(f"refused  {what:27} {e.strerror or e}")
        else:
            worked += 1
            print(f"WORKED   {what}")
    return 1 if worked else 0


if __name__ == "__main__":
    sys.exit(main())
