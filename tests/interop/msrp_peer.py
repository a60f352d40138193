#!/usr/bin/env python3
"""A foreign MSRP peer, sender and receiver, against `cpm msrp listen` and `cpm msrp send`: no SIP on either side.

usage: msrp_peer.py CPM

Prints one PASS or FAIL line for each check; exit status 1 when one failed. CPM is the command.
"""

import hashlib
import os
import random
import re
import socket
import subprocess
import sys
import tempfile

from msrp_passive import Msrp
from wire import Problem, expect, run

OWN = "msrp://127.0.0.1:9/foreignpeer0123456;tcp"
cpm = sys.argv[1]
dice = random.Random(4975)


def noise(length):
    return dice.randbytes(length)


def lookalikes(transaction):
    """A body made of what looks like end-lines: of this transaction, of others, nearly and wholly."""
    own = f"-------{transaction}".encode()
    parts = [own + b"x$\r\n", own, b"\r\n" + own + b"\r\n", own + b"$ \r\n", b"\r\n-------other$\r\n", b"\r\n-------\r\n"]
    parts += [b"\r\n-------other+\r\nMSRP other SEND\r\n", b"-" * 40, b"\r\n", b"\r\n\r\n", b"\n" + own + b"$\n"]
    body = b"".join(dice.choice(parts) for _ in range(400))
    # The one thing that it must not hold, or no receiver could tell (RFC 4975 7.1).
    return re.sub(rb"\r\n" + own + rb"([$+#])\r\n", rb"\r\n" + own + rb"?\r\n", body)


def connect(uri):
    port = int(re.match(r"msrp://127\.0\.0\.1:(\d+)/", uri).group(1))
    return Msrp(socket.create_connection(("127.0.0.1", port), 5.0))


def send(connection, uri, transaction, message_id, body, range_, flag="$", extra="", pieces=None):
    """A SEND with this Byte-Range; `pieces`: the octets go out so many at a time."""
    head = f"MSRP {transaction} SEND\r\nTo-Path: {uri}\r\nFrom-Path: {OWN}\r\nMessage-ID: {message_id}\r\n"
    head += f"Byte-Range: {range_}\r\n{extra}"
    if body is None:
        octets = f"{head}-------{transaction}{flag}\r\n".encode()
    else:
        head += "Content-Type: application/x-foreign\r\n\r\n"
        octets = head.encode() + body + f"\r\n-------{transaction}{flag}\r\n".encode()
    for at in range(0, len(octets), pieces or len(octets)):
        connection.send(octets[at : at + (pieces or len(octets))])


def answered(connection, transaction, status):
    answer, flag = connection.frame()
    expect(answer.start.startswith(f"MSRP {transaction} {status}"), f"{status} for {transaction} wanted: {answer.start!r}")
    expect(flag == "$", f"a response with flag {flag}")
    expect(answer.fields.get("To-Path") == OWN, f"response To-Path {answer.fields.get('To-Path')!r}")


def bind(connection, uri, transaction="bind0001"):
    send(connection, uri, transaction, "bindmsg1", None, "1-0/0")
    answered(connection, transaction, 200)


class Listener:
    """A running `cpm msrp listen`."""

    def __init__(self, *options):
        command = [cpm, "msrp", "listen", "--bind", "127.0.0.1:0", "--timeout", "30", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.uri = self.process.stdout.readline().strip()

    def __enter__(self):
        expect(self.uri.startswith("msrp://127.0.0.1:"), f"no URI on the first line: {self.uri!r}")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def got(self, message_id, body):
        """The next line is about this message."""
        line = self.process.stdout.readline().rstrip("\n")
        wanted = f"{message_id}\tapplication/x-foreign\t{len(body)}\t{hashlib.sha256(body).hexdigest()}"
        expect(line == wanted, f"printed {line!r}, not {wanted!r}")

    def trouble(self):
        return self.process.stderr.readline()


def cut_at_odd_octets():
    with Listener() as listener:
        connection, body = connect(listener.uri), noise(60_003)
        # The first line, and all others, cut by TCP.
        send(connection, listener.uri, "bind0001", "bindmsg1", None, "1-0/0", pieces=1)
        answered(connection, "bind0001", 200)
        at, number = 0, 0
        while at < len(body):
            part = body[at : at + dice.choice([1, 3, 997, 2047, 2049, 5001])]
            flag = "$" if at + len(part) == len(body) else "+"
            range_ = f"{at + 1}-{at + len(part)}/{len(body)}"
            send(connection, listener.uri, f"chunk{number}", "oddchunks", part, range_, flag, pieces=dice.choice([7, 333, 1460]))
            answered(connection, f"chunk{number}", 200)
            at, number = at + len(part), number + 1
        listener.got("oddchunks", body)


def body_of_end_lines():
    with Listener() as listener:
        connection = connect(listener.uri)
        bind(connection, listener.uri)
        for number in range(20):
            transaction, body = f"looks{number}", lookalikes(f"looks{number}")
            send(connection, listener.uri, transaction, f"lookalike{number}", body, f"1-*/{len(body)}", pieces=dice.randint(1, 99))
            answered(connection, transaction, 200)
            listener.got(f"lookalike{number}", body)


def interleaved():
    with Listener() as listener:
        connection, one, two = connect(listener.uri), noise(5001), noise(7003)
        bind(connection, listener.uri)
        for number in range(3):
            for name, body in (("one", one), ("two", two)):
                step = len(body) // 3 + 1
                part = body[number * step : (number + 1) * step]
                range_ = f"{number * step + 1}-{number * step + len(part)}/{len(body)}"
                flag = "$" if number == 2 else "+"
                send(connection, listener.uri, f"{name}{number}abc", f"message-{name}", part, range_, flag)
        for number in range(3):
            answered(connection, f"one{number}abc", 200)
            answered(connection, f"two{number}abc", 200)
        listener.got("message-one", one)
        listener.got("message-two", two)


def nothing_known_of_the_length():
    with Listener() as listener:
        connection, body = connect(listener.uri), noise(30_001)
        bind(connection, listener.uri)
        send(connection, listener.uri, "star0001", "starred1", body[:9999], "1-*/*", "+")
        send(connection, listener.uri, "star0002", "starred1", body[9999:], "10000-*/*", "$")
        answered(connection, "star0001", 200)
        answered(connection, "star0002", 200)
        listener.got("starred1", body)


def out_of_order_and_twice():
    with Listener() as listener:
        connection, body = connect(listener.uri), noise(9000)
        bind(connection, listener.uri)
        for number, (first, last, flag) in enumerate([(6001, 9000, "$"), (1, 2000, "+"), (1500, 4000, "+"), (3001, 6000, "+")]):
            part = body[first - 1 : last]
            send(connection, listener.uri, f"order{number}", "unordered", part, f"{first}-{last}/9000", flag)
            answered(connection, f"order{number}", 200)
        listener.got("unordered", body)


def given_up():
    with Listener() as listener:
        connection = connect(listener.uri)
        bind(connection, listener.uri)
        send(connection, listener.uri, "part0001", "abandoned", b"half of it", "1-10/20", "+")
        answered(connection, "part0001", 200)
        send(connection, listener.uri, "part0002", "abandoned", b"and", "11-13/20", "#")
        answered(connection, "part0002", 200)
        send(connection, listener.uri, "good0001", "good", b"whole", "1-5/5")
        answered(connection, "good0001", 200)
        listener.got("good", b"whole")
        trouble = listener.trouble()
        expect("abandoned" in trouble and "gave it up" in trouble, f"said {trouble!r}")


def for_nobody():
    with Listener() as listener:
        connection = connect(listener.uri)
        other = listener.uri.replace(";tcp", "x;tcp")
        send(connection, other, "lost0001", "lost", b"text", "1-4/4")
        answered(connection, "lost0001", 481)
        send(connection, listener.uri, "good0001", "good", b"text", "1-4/4")
        answered(connection, "good0001", 200)
        listener.got("good", b"text")


def second_binder():
    with Listener() as listener:
        first, second = connect(listener.uri), connect(listener.uri)
        bind(first, listener.uri)
        send(second, listener.uri, "second01", "second", None, "1-0/0")
        answered(second, "second01", 506)
        send(first, listener.uri, "first001", "first", b"still here", "1-10/10")
        answered(first, "first001", 200)
        listener.got("first", b"still here")


def reports():
    with Listener() as listener:
        connection, body = connect(listener.uri), noise(3000)
        bind(connection, listener.uri)
        extra = "Success-Report: yes\r\nFailure-Report: no\r\n"
        send(connection, listener.uri, "report01", "reported", body[:1000], "1-1000/3000", "+", extra)
        send(connection, listener.uri, "report02", "reported", body[1000:], "1001-3000/3000", "$", extra)
        report, _ = connection.frame()
        expect(report.start.endswith(" REPORT"), f"Failure-Report: no, and {report.start!r} came")
        wanted = {"Message-ID": "reported", "Byte-Range": "1-3000/3000", "To-Path": OWN, "From-Path": listener.uri}
        for name, value in wanted.items():
            expect(report.fields.get(name) == value, f"{name} of the report: {report.fields.get(name)!r}")
        expect(report.fields.get("Status", "").startswith("000 200"), f"Status {report.fields.get('Status')!r}")
        listener.got("reported", body)


class Sender:
    """A running `cpm msrp send` towards a socket of ours."""

    def __init__(self, body, *options, stdin=False):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(5.0)
        self.uri = f"msrp://127.0.0.1:{self.listener.getsockname()[1]}/foreignpeer0123456;tcp"
        self.body = body
        self.file = tempfile.NamedTemporaryFile(delete=False)
        self.file.write(body)
        self.file.close()
        source = open(self.file.name, "rb") if stdin else subprocess.DEVNULL
        command = [cpm, "msrp", "send", *options, self.uri, "-" if stdin else self.file.name]
        self.process = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        accepted, _ = self.listener.accept()
        self.connection = Msrp(accepted)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.listener.close()
        os.unlink(self.file.name)

    def respond(self, request, status):
        path = request.fields["From-Path"]
        end = f"-------{request.transaction}$\r\n"
        self.connection.send(f"MSRP {request.transaction} {status}\r\nTo-Path: {path}\r\nFrom-Path: {self.uri}\r\n{end}".encode())

    def bound(self):
        request, flag = self.connection.frame()
        expect(request.start.endswith(" SEND") and request.body == b"" and flag == "$", f"first request {request.start!r}")
        expect(request.fields.get("To-Path") == self.uri, f"To-Path {request.fields.get('To-Path')!r}")
        self.respond(request, "200 OK")

    def take(self, longest, length):
        """All chunks of one message, each answered; gives the head of the last."""
        there = b""
        while True:
            request, flag = self.connection.frame()
            expect(request.body[-2:] == b"\r\n", "no line end before the end-line")
            part = request.body[:-2]
            first, last, total = re.fullmatch(r"(\d+)-(\d+|\*)/(\d+|\*)", request.fields["Byte-Range"]).groups()
            expect(int(first) == len(there) + 1, f"a chunk begins at {first}, {len(there)} octets are there")
            expect(len(part) <= longest, f"a chunk of {len(part)} octets, {longest} are the most")
            # RFC 4975 7.1.1: what is longer can be interrupted, and says so.
            expect(len(part) <= 2048 or last == "*", f"a chunk of {len(part)} octets with range-end {last}")
            expect(last == "*" or int(last) == len(there) + len(part), f"range-end {last}")
            expect(total == length, f"total {total}")
            there += part
            self.respond(request, "200 OK")
            if flag == "$":
                expect(there == self.body, "other octets than were sent")
                return request

    def end(self, status):
        out, err = self.process.communicate(timeout=20)
        expect(self.process.returncode == status, f"exit status {self.process.returncode}: {out}{err}")
        if status == 0:
            digest = hashlib.sha256(self.body).hexdigest()
            expect(out.split("\t")[2:4] == [str(len(self.body)), digest], f"printed {out!r}")
        return err


def takes_chunks():
    for chunk in (777, 2048, 65_536):
        body = noise(100_001)
        with Sender(body, "--chunk", str(chunk)) as sender:
            sender.bound()
            sender.take(chunk, str(len(body)))
            sender.end(0)


def takes_a_body_of_end_lines():
    body = lookalikes("anything") + b"-" * 3001
    with Sender(body, "--chunk", "1000") as sender:
        sender.bound()
        sender.take(1000, str(len(body)))
        sender.end(0)


def takes_what_has_no_length():
    body = noise(70_001)
    with Sender(body, stdin=True) as sender:
        sender.bound()
        there, flag = b"", "+"
        while flag != "$":
            request, flag = sender.connection.frame()
            there += request.body[:-2]
            expect(re.fullmatch(r"\d+-(\d+|\*)/(\*|70001)", request.fields["Byte-Range"]), request.fields["Byte-Range"])
            sender.respond(request, "200 OK")
        expect(there == body, "other octets than were sent")
        sender.end(0)


def reports_back():
    body = noise(5000)
    with Sender(body, "--success-report") as sender:
        sender.bound()
        request = sender.take(1 << 20, "5000")
        expect(request.fields.get("Success-Report") == "yes", "no report is asked for")
        report = f"MSRP report01 REPORT\r\nTo-Path: {request.fields['From-Path']}\r\nFrom-Path: {sender.uri}\r\n"
        report += f"Message-ID: {request.fields['Message-ID']}\r\nByte-Range: 1-5000/5000\r\nStatus: 000 200 OK\r\n-------report01$\r\n"
        sender.connection.send(report.encode())
        sender.end(0)


def refuses():
    with Sender(noise(5000)) as sender:
        sender.bound()
        request, _ = sender.connection.frame()
        sender.respond(request, "413 Stop")
        expect("413" in sender.end(1), "413 is not told")
    with Sender(noise(10)) as sender:
        request, _ = sender.connection.frame()
        sender.respond(request, "481 Unknown")
        expect("481" in sender.end(1), "481 is not told")


def goes_away():
    with Sender(noise(3_000_000), "--chunk", "10000") as sender:
        sender.bound()
        request, _ = sender.connection.frame()
        sender.respond(request, "200 OK")
        sender.connection.close()
        expect("connection ended" in sender.end(1), "the end of the connection is not told")


CHECKS = {
    "msrp listen: chunks cut at odd octets, lines cut by TCP": cut_at_odd_octets,
    "msrp listen: bodies of end-lines": body_of_end_lines,
    "msrp listen: two messages interleaved": interleaved,
    "msrp listen: Byte-Range with *": nothing_known_of_the_length,
    "msrp listen: chunks out of order and overlapping": out_of_order_and_twice,
    "msrp listen: a message given up with #": given_up,
    "msrp listen: another To-Path is answered 481": for_nobody,
    "msrp listen: a second connection is answered 506": second_binder,
    "msrp listen: success report without responses": reports,
    "msrp send: chunks as long as asked for, in order": takes_chunks,
    "msrp send: a body of end-lines": takes_a_body_of_end_lines,
    "msrp send: standard input": takes_what_has_no_length,
    "msrp send: waits for the success report": reports_back,
    "msrp send: 413 and 481 end with status 1": refuses,
    "msrp send: a connection that ends": goes_away,
}


def main():
    def checked(check):
        try:
            check()
        except (OSError, KeyError, ValueError, AttributeError, IndexError, subprocess.TimeoutExpired) as error:
            raise Problem(f"{type(error).__name__}: {error}") from None

    results = [run(name, lambda check=check: checked(check)) for name, check in CHECKS.items()]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
