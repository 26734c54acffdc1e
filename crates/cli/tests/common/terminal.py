"""Runs a command at a terminal of its own, of 80 columns, and types a line of standard input at each question
(text that ends with ": "), once the terminal no longer shows what is typed. Prints what stood on the terminal;
ends as the command."""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time

answers = sys.stdin.read().splitlines()
process, terminal = pty.fork()
if process == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])


def give_up(*_):
    os.kill(process, signal.SIGKILL)
    sys.exit("it asks for more, or shows what is typed: it was stopped after a minute")


signal.signal(signal.SIGALRM, give_up)
signal.alarm(60)


def read():
    """What the command says next; nothing at its end, which Linux gives as an error."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def shows_what_is_typed():
    return termios.tcgetattr(terminal)[3] & termios.ECHO


screen, said = b"", None
while said != b"":
    said = read()
    screen += said
    if answers and said.endswith(b": "):
        while shows_what_is_typed():
            time.sleep(0.01)
        os.write(terminal, answers.pop(0).encode() + b"\n")
sys.stdout.buffer.write(screen)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
