#!/usr/bin/env python3
"""The passive MSRP endpoint of large.xml's session: takes the listener's connection and its bodiless SEND, then sends
one CPM message in chunks.

usage: msrp_passive.py orderly|hostile SECONDS

Prints `listening PORT SIZE` first (SIZE: octets of the message), then one PASS or FAIL line; exit status 1 on FAIL.

orderly: chunks in order, one write each, the next when the last is answered.
hostile: a request for a session that does not exist, a REPORT, unknown and broken header fields, chunks out of order
without waiting, a body full of lines that look like end-lines, writes of 1 to 7 octets that fit no boundary.
"""

import random
import socket
import sys
import time

from wire import Problem, Tcp, expect

SESSION = "foreignsession1"
FIRST = "large text begins here"
LAST = "large text ends here"


def message(mode):
    """The CPIM message, octets."""
    lines = [f"{FIRST} ({mode})"]
    if mode == "hostile":
        for number in range(40):
            end = f"-------chunk{number}"
            lines += [end + "y$", end + "$", end + "x", end + "x?", end + "x$ ", "-------", "MSRP nearmiss SEND"]
            lines += ["\u00e4\u20ac\U0001f600 \n-------\r", ""]
    while len("\r\n".join(lines)) < 15000:
        lines.append(f"line {len(lines)} of a message that is too large for a pager")
    lines.append(f"{LAST} ({mode})")
    text = "\r\n".join(lines)
    return "\r\n".join(
        [
            "From: <sip:sipp@127.0.0.1>",
            "To: <sip:listener@127.0.0.1>",
            "NS: imdn <urn:ietf:params:imdn>",
            "imdn.Message-ID: large-Zr93m",
            "DateTime: 2026-03-01T12:33:00Z",
            "imdn.Disposition-Notification: positive-delivery, display",
            "",
            "Content-Type: text/plain; charset=utf-8",
            "",
            text,
        ]
    ).encode()


class Frame:
    """One MSRP request or response."""

    def __init__(self, octets, transaction):
        head, separator, body = octets.partition(b"\r\n\r\n")
        lines = (head if separator else octets).decode("utf-8").split("\r\n")
        self.start = lines[0]
        self.transaction = transaction
        self.fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        self.names = [line.split(":")[0] for line in lines[1:] if line]
        self.body = body if separator else b""


class Msrp(Tcp):
    """An accepted MSRP connection."""

    def __init__(self, accepted):
        self.socket = accepted
        self.kept = b""
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def frame(self):
        start = self.until(b"\r\n")
        word = start.decode("utf-8").split(" ")
        expect(word[0] == "MSRP" and len(word) >= 3, f"no MSRP start line: {start!r}")
        end = f"-------{word[1]}".encode()
        rest = self.until(end)
        flag = self.octets(3)
        expect(flag[1:] == b"\r\n" and flag[:1] in b"$+#", f"bad end-line: {flag!r}")
        return Frame(start + rest[: -len(end)], word[1]), flag[:1].decode()


def send_request(to_path, own_path, transaction, message_id, body, first, total, flag, extra=""):
    head = (
        f"MSRP {transaction} SEND\r\nTo-Path: {to_path}\r\nFrom-Path: {own_path}\r\nMessage-ID: {message_id}\r\n"
        f"Byte-Range: {first}-{first + len(body) - 1}/{total}\r\n{extra}Content-Type: message/cpim\r\n\r\n"
    )
    return head.encode() + body + f"\r\n-------{transaction}{flag}\r\n".encode()


def bind(connection, own_path):
    """The listener's first request: bodiless, for our session. Gives the path that it calls its own."""
    request, flag = connection.frame()
    expect(request.start.endswith(" SEND"), f"first request is {request.start!r}")
    expect(request.body == b"" and "Content-Type" not in request.fields, "the first SEND has a body")
    expect(flag == "$", f"flag {flag}")
    expect(request.fields.get("To-Path") == own_path, f"To-Path {request.fields.get('To-Path')!r}")
    expect(request.names[:2] == ["To-Path", "From-Path"], f"order of header fields {request.names}")
    expect(request.fields.get("Message-ID"), "no Message-ID")
    # interop: 11, peers want one on a bodiless SEND.
    expect(request.fields.get("Byte-Range") == "1-0/0", f"Byte-Range {request.fields.get('Byte-Range')!r}")
    peer_path = request.fields["From-Path"]
    answer = f"MSRP {request.transaction} 200 OK\r\nTo-Path: {peer_path}\r\nFrom-Path: {own_path}\r\n-------{request.transaction}$\r\n"
    connection.send(answer.encode())
    return peer_path


def answered(connection, own_path, peer_path, status):
    answer, flag = connection.frame()
    word = answer.start.split(" ")
    expect(word[2] == str(status), f"expected {status}, got {answer.start!r}")
    expect(flag == "$", f"response with flag {flag}")
    expect(answer.fields.get("To-Path") == own_path, f"response To-Path {answer.fields.get('To-Path')!r}")
    if peer_path:
        expect(answer.fields.get("From-Path") == peer_path, f"response From-Path {answer.fields.get('From-Path')!r}")
    return answer.transaction


def orderly(connection, own_path, peer_path, body):
    size = 4000
    for number, first in enumerate(range(0, len(body), size)):
        piece = body[first : first + size]
        flag = "$" if first + size >= len(body) else "+"
        transaction = f"orderly{number}"
        connection.send(send_request(peer_path, own_path, transaction, "m1.orderly", piece, first + 1, len(body), flag))
        expect(answered(connection, own_path, peer_path, 200) == transaction, "answer to another chunk")


def hostile(connection, own_path, peer_path, body):
    dice = random.Random(4975)
    nowhere = peer_path.rsplit("/", 1)[0] + "/nowhere;tcp"
    stream = send_request(nowhere, own_path, "lost1", "m0", b"for nobody", 1, 10, "$")
    stream += (
        f"MSRP rep1 REPORT\r\nTo-Path: {peer_path}\r\nFrom-Path: {own_path}\r\nMessage-ID: never-sent\r\n"
        f"Byte-Range: 1-5/5\r\nStatus: 000 200 OK\r\n-------rep1$\r\n"
    ).encode()
    sizes = [1500, 2500, 2000]
    chunks, first = [], 0
    while first < len(body):
        size = sizes[len(chunks) % 3]
        chunks.append((first, body[first : first + size]))
        first += size
    flags = ["$" if number == len(chunks) - 1 else "+" for number in range(len(chunks))]
    order = list(range(len(chunks)))
    # The last chunk stays last: its flag ends the message.
    order[:-1] = reversed(order[:-1])
    for number in order:
        first, piece = chunks[number]
        extra = "X-Unknown: \u00e4 value; of=\"no\" concern\r\n"
        stream += send_request(
            peer_path, own_path, f"chunk{number}x", "m1.hostile", piece, first + 1, len(body), flags[number], extra
        )
    place = 0
    while place < len(stream):
        step = dice.randint(1, 7) if place % 3000 < 600 else 1400
        connection.send(stream[place : place + step])
        place += step
    expect(answered(connection, own_path, None, 481) == "lost1", "the request for nobody is not answered first")
    # interop: 1, a REPORT is never answered: what follows are the chunks' answers.
    transactions = [answered(connection, own_path, peer_path, 200) for _ in chunks]
    expect(sorted(transactions) == sorted(f"chunk{number}x" for number in order), f"answers to {transactions}")


def serve(mode, listener, own_path, body):
    try:
        accepted, _ = listener.accept()
    except socket.timeout:
        raise Problem("nobody connected") from None
    connection = Msrp(accepted)
    peer_path = bind(connection, own_path)
    # RFC 4975 §9: the session-id has at least 80 bits of randomness.
    session_id = peer_path.split("/")[3].split(";")[0]
    expect(len(session_id) >= 14, f"short session-id {session_id!r}")
    {"orderly": orderly, "hostile": hostile}[mode](connection, own_path, peer_path, body)
    # The session, and with it the connection, ends with the BYE.
    connection.expect_closed(5.0)


def main():
    mode, seconds = sys.argv[1], float(sys.argv[2])
    body = message(mode)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(seconds)
    port = listener.getsockname()[1]
    print(f"listening {port} {len(body)}", flush=True)
    began = time.monotonic()
    try:
        serve(mode, listener, f"msrp://127.0.0.1:{port}/{SESSION};tcp", body)
    except (Problem, OSError, KeyError, ValueError) as problem:
        print(f"FAIL msrp, {mode}: {problem}", flush=True)
        sys.exit(1)
    print(f"PASS msrp, {mode}: {len(body)} octets in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
