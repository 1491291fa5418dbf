# Run a command in which some system calls fail: what a kernel without them, or a container's filter, is like.
#
#   python3 deny.py NAME[,NAME..] ERRNO CMD..     NAME: a row of CALLS
import ctypes
import errno
import os
import struct
import sys

# number, and of the argument that decides: index, the bits that must be set (0: always)
CALLS = {
    "unshare-user": (272, 0, 0x10000000),
    "clone-user": (56, 0, 0x10000000),
    "clone3": (435, 0, 0),
    "landlock_create_ruleset": (444, 0, 0),
    "seccomp": (317, 0, 0),
    "open_tree": (428, 0, 0),
    "move_mount": (429, 0, 0),
    "fsopen": (430, 0, 0),
    "mount_setattr": (442, 0, 0),
}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LD, JEQ, JSET, RET = 0x20, 0x15, 0x45, 0x06
NR, ARGS = 0, 16


def program(names, code):
    insns = []
    for name in names:
        number, arg, bits = CALLS[name]
        insns.append((LD, 0, 0, NR))
        insns.append((JEQ, 0, 3 if bits else 1, number))
        if bits:
            insns += [(LD, 0, 0, ARGS + 8 * arg), (JSET, 0, 1, bits)]
        insns.append((RET, 0, 0, ERRNO | code))
    return insns + [(RET, 0, 0, ALLOW)]


def main():
    names, code, command = sys.argv[1].split(","), getattr(errno, sys.argv[2]), sys.argv[3:]
    if os.uname().machine != "x86_64":
        print("skipped: the numbers of system calls are those of x86_64")
        sys.exit(77)
    insns = program(names, code)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *i) for i in insns))
    prog = ctypes.create_string_buffer(struct.pack("@HP", len(insns), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prog, 0, 0):
        sys.exit("deny.py: " + os.strerror(ctypes.get_errno()))
    os.execvp(command[0], command)


main()
