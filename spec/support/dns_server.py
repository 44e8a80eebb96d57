"""A name server of a spec's own: UDP and TCP on one port of 127.0.0.1, with answers that the spec can change.

    dns_server.py ZONE LOG PORT     prints its port (0: a free one), then answers until its standard input ends

ZONE is JSON and read anew for each question: name -> what is said of it.
    A, AAAA        addresses            SRV       [priority, weight, port, target], ...
    CNAME          another name         ttl       of all of them (1)
    rcode          2: SERVFAIL, ...     silent    no answer at all
    garbage        bytes that mean nothing        wrong_id  an answer to another question
    truncate       over UDP nothing but "ask over TCP"      loop   a name that is compressed onto itself
A name that is not in it does not exist. LOG gets a line for each question: udp|tcp TYPE NAME
"""
import ipaddress
import json
import socket
import struct
import sys
import threading

TYPES = {1: "A", 5: "CNAME", 28: "AAAA", 33: "SRV"}
NUMBERS = {word: number for number, word in TYPES.items()}
UDP_MOST = 1232
ALIASES_MOST = 40


def read_question(data):
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    kind = struct.unpack(">H", data[at + 1:at + 3])[0]
    return ".".join(labels).lower(), TYPES.get(kind, str(kind)), data[12:at + 5]


def wire_name(name):
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in labels) + b"\0"


def record(owner, kind, ttl, data):
    return wire_name(owner) + struct.pack(">HHIH", NUMBERS[kind], 1, ttl, len(data)) + data


def data_of(kind, value):
    if kind == "SRV":
        return struct.pack(">HHH", *value[:3]) + wire_name(value[3])
    return ipaddress.ip_address(value).packed


def records_of(zone, name, kind):
    out = []
    for _ in range(ALIASES_MOST):
        entry = zone.get(name, {})
        if "CNAME" not in entry:
            break
        out.append(record(name, "CNAME", entry.get("ttl", 1), wire_name(entry["CNAME"])))
        name = entry["CNAME"]
    entry = zone.get(name, {})
    for value in entry.get(kind, []):
        out.append(record(name, kind, entry.get("ttl", 1), data_of(kind, value)))
    return out


def answer(data, zone, over):
    name, kind, question = read_question(data)
    entry = zone.get(name)
    identity = data[:2]
    if entry and entry.get("silent"):
        return None
    if entry and entry.get("garbage"):
        return identity + b"\xff" * 40
    if entry and entry.get("wrong_id"):
        identity = bytes([identity[0] ^ 1, identity[1]])
    rcode = 3 if entry is None else entry.get("rcode", 0)
    records = [] if rcode else records_of(zone, name, kind)
    if entry and entry.get("loop"):
        pointer = struct.pack(">H", 0xc000 + 12 + len(question))
        records = [pointer + struct.pack(">HHIH", 1, 1, 1, 4) + b"\x7f\0\0\1"]
    body = b"".join(records)
    cut = over == "udp" and (len(body) > UDP_MOST or entry and entry.get("truncate"))
    if cut:
        records, body = [], b""
    flags = 0x8180 | rcode | (0x0200 if cut else 0)
    return identity + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question + body


class Server:
    def __init__(self, zone_file, log_file, port):
        self.zone_file, self.log_file = zone_file, log_file
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", port))
        self.tcp.listen(64)
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))

    def reply(self, data, over):
        with open(self.zone_file) as f:
            zone = json.load(f)
        name, kind, _ = read_question(data)
        with open(self.log_file, "a") as f:
            f.write(f"{over} {kind} {name}\n")
        return answer(data, zone, over)

    def serve_udp(self):
        while True:
            data, who = self.udp.recvfrom(4096)
            out = self.reply(data, "udp")
            if out:
                self.udp.sendto(out, who)

    def serve_one(self, connection):
        with connection:
            while head := connection.recv(2, socket.MSG_WAITALL):
                data = connection.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL)
                out = self.reply(data, "tcp")
                if out:
                    connection.sendall(struct.pack(">H", len(out)) + out)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self.serve_one, args=(connection,), daemon=True).start()


server = Server(sys.argv[1], sys.argv[2], int(sys.argv[3]))
for serve in (server.serve_udp, server.serve_tcp):
    threading.Thread(target=serve, daemon=True).start()
print(server.port, flush=True)
sys.stdin.read()
