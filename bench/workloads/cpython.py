# SPDX-License-Identifier: BSD-3-Clause
"""CPython at work: an inventory service's objects, indexes, caches and texts, about 200 MiB."""

import array
import ast
import collections
import datetime
import inspect
import json
import random
import sys
import textwrap
import uuid

random.seed(20)
CITIES = "Oslo Lima Kyoto Turin Quito Accra Delhi Perth Split Cork".split()
WORDS = [w for m in (textwrap, json, inspect, ast) for w in inspect.getsource(m).split()]


class Order:
    """An object with slots, as a careful program has them."""

    __slots__ = ("number", "customer", "lines", "placed", "total")

    def __init__(self, number):
        self.number = number
        self.customer = random.randrange(50000)
        self.lines = [(random.randrange(9000), random.randint(1, 9)) for _ in range(3)]
        self.placed = datetime.datetime.fromtimestamp(1.6e9 + random.randrange(10**8))
        self.total = round(random.lognormvariate(4, 1), 2)


class Session:
    """An object with a dict, as most programs have them."""

    def __init__(self):
        self.token = uuid.UUID(int=random.getrandbits(128))
        self.user = "user%d@%s.example.org" % (random.randrange(10**6), random.choice(CITIES))
        self.seen = random.random() * 1e9
        self.flags = {"admin": random.random() < 0.1, "language": random.choice(("en", "nb", "ja"))}


def sentence():
    return " ".join(random.choices(WORDS, k=random.randint(5, 40)))


orders = [Order(i) for i in range(110000)]
by_customer = collections.defaultdict(list)
for order in orders:
    by_customer[order.customer].append(order)
sessions = {s.token: s for s in (Session() for _ in range(60000))}
stock = {"sku-%06d" % i: {"id": i, "city": random.choice(CITIES), "price": random.random() * 100,
                          "tags": random.sample(range(1000), 3)} for i in range(60000)}
reply = json.dumps(list(stock.values())[:40000])  # a web service's answer, and its client's view
parsed = json.loads(reply)
texts = [sentence() for _ in range(60000)]
frequency = collections.Counter(word for text in texts for word in text.split())
trees = [ast.parse(inspect.getsource(m)) for m in (textwrap, json, inspect, ast, collections)]
samples = array.array("d", (random.gauss(20, 5) for _ in range(1000000)))
counts = array.array("q", (int(random.paretovariate(1)) for _ in range(1000000)))

print("ready", flush=True)
sys.stdin.read()
