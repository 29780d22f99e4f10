# SPDX-License-Identifier: BSD-3-Clause
"""fake.py PATH STAT: a control socket whose "stat" answers the line STAT, whatever it is, and whose
"compact" answers only when somebody has asked for "stat" meanwhile. Prints "ready"; ends with its
standard input."""
import json
import os
import socket
import sys
import threading

path, stat = sys.argv[1:]
asked = threading.Event()


def serve(connection):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            command = json.loads(line)["command"]
            if command == "stat":
                asked.set()
                answer = stat
            elif command == "compact":
                asked.clear()
                asked.wait()
                answer = '{"version":1,"result":{"before":{"pool":4194304},"after":{"pool":1048576}}}'
            else:
                answer = '{"version":1,"result":[]}'
            print(answer, file=lines, flush=True)


def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(16)
threading.Thread(target=accept, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
