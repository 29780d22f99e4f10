# SPDX-License-Identifier: BSD-3-Clause
"""fake.py PATH STAT: a control socket whose "stat" answers the line STAT, whatever it is, and whose
"compact" answers only when somebody has asked for "stat" meanwhile.

fake.py --zcramd PATH STATUS UPGRADE [PATH STAT]: zcramd's, whose "status" and "upgrade" answer so
("close": it closes instead), and a server's beside it.

Prints "ready"; ends with its standard input."""
import json
import os
import socket
import sys
import threading

asked = threading.Event()


def answer_server(command, stat):
    if command == "stat":
        asked.set()
        return stat
    if command == "compact":
        asked.clear()
        asked.wait()
        return '{"version":1,"result":{"before":{"pool":4194304},"after":{"pool":1048576}}}'
    return '{"version":1,"result":[]}'


def serve(connection, answer):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            said = answer(json.loads(line)["command"])
            if said == "close":
                return
            print(said, file=lines, flush=True)


def accept(listener, answer):
    while True:
        threading.Thread(
            target=serve, args=(listener.accept()[0], answer), daemon=True
        ).start()


def listen(path, answer):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    threading.Thread(target=accept, args=(listener, answer), daemon=True).start()


arguments = sys.argv[1:]
if arguments[0] == "--zcramd":
    _, path, status, upgrade = arguments[:4]
    arguments = arguments[4:]
    listen(path, lambda command: {"status": status, "upgrade": upgrade}[command])
if arguments:
    path, stat = arguments
    listen(path, lambda command: answer_server(command, stat))
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
