# SPDX-License-Identifier: BSD-3-Clause
"""saving.py PATH: a control socket whose "save" gives a part of something, and then nothing more.

Prints "ready", and "saving" when that part has been taken; ends with its standard input."""
import json
import os
import socket
import sys
import threading

PART = 1 << 20


def request(connection):
    """A whole line, in however many pieces it comes, and what came with it; b"" at the end."""
    line, came = b"", []
    while not line.endswith(b"\n"):
        piece, fds, _, _ = socket.recv_fds(connection, 65536, 1)
        if not piece:
            return b"", came
        line += piece
        came += fds
    return line, came


def answer(connection):
    streams = []
    while True:
        line, fds = request(connection)
        if not line:
            return
        if json.loads(line)["command"] == "save":
            streams.append(socket.socket(fileno=fds[0]))
            streams[-1].sendall(bytes(PART))
            print("saving", flush=True)
        else:
            connection.sendall(
                b'{"version":1,"result":{"name":"zcram0","stats":{"payload":9999999}}}\n'
            )


def accept(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(16)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
