# SPDX-License-Identifier: Apache-2.0
"""refuse.py NUMBER[,NUMBER...] COMMAND...: runs a command to which the kernel refuses these system calls
(EPERM), as a container's seccomp filter would. For x86-64's own calls; 32-bit ones pass."""

import ctypes
import os
import struct
import sys

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
AUDIT_ARCH_X86_64 = 0xC000003E
ERRNO_EPERM, ALLOW = 0x00050001, 0x7FFF0000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def instruction(code, on_true, on_false, value):
    return struct.pack("=HBBI", code, on_true, on_false, value)


def main():
    numbers = [int(number) for number in sys.argv[1].split(",")]
    # seccomp_data: the call's number at 0, the architecture at 4.
    program = instruction(LOAD, 0, 0, 4) + instruction(JUMP_IF_EQUAL, 0, len(numbers) + 1, AUDIT_ARCH_X86_64)
    program += instruction(LOAD, 0, 0, 0)
    for place, number in enumerate(numbers):
        program += instruction(JUMP_IF_EQUAL, len(numbers) - place, 0, number)
    program += instruction(RETURN, 0, 0, ALLOW) + instruction(RETURN, 0, 0, ERRNO_EPERM)
    memory = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
        sys.exit(f"refuse.py: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[2], sys.argv[2:])


main()
