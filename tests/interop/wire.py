"""Raw SIP and MSRP over sockets, as much as the checks in this folder need. Standard library only."""

import re
import socket
import time

ACCEPT_CONTACT = '*;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg";require;explicit'
WAIT = 5.0
"""Seconds that an answer may take."""


class Problem(Exception):
    """What a check found wrong."""


def expect(condition, text):
    if not condition:
        raise Problem(text)


def cpim(text, message_id, reports=None, date="2026-03-01T12:40:00Z"):
    """A message/cpim body, octets."""
    lines = [
        "From: <sip:raw@127.0.0.1>",
        "To: <sip:listener@127.0.0.1>",
        "NS: imdn <urn:ietf:params:imdn>",
        f"imdn.Message-ID: {message_id}",
        f"DateTime: {date}",
    ]
    if reports:
        lines.append(f"imdn.Disposition-Notification: {reports}")
    lines += ["", "Content-Type: text/plain; charset=utf-8", "", text]
    return "\r\n".join(lines).encode()


counter = 0


def request(peer, text="must not be shown", **changes):
    """A MESSAGE as octets. `changes`: field (with _ for -) to another value, a list of values, or None to drop it;
    `method`, `uri`, `version`, `body`, `names` (other spellings of field names)."""
    global counter
    counter += 1
    number = counter
    method = changes.pop("method", "MESSAGE")
    uri = changes.pop("uri", "sip:listener@127.0.0.1")
    version = changes.pop("version", "SIP/2.0")
    names = changes.pop("names", {})
    body = changes.pop("body", cpim(text, f"raw-{peer.transport}-{number}"))
    if isinstance(body, str):
        body = body.encode()
    fields = {
        "Via": f"SIP/2.0/{peer.transport} 127.0.0.1:{peer.local_port};branch=z9hG4bK-raw-{peer.transport}-{number};rport",
        "Max-Forwards": "70",
        "From": f"<sip:raw@127.0.0.1:{peer.local_port}>;tag=raw{number}",
        "To": "<sip:listener@127.0.0.1>",
        "Call-ID": f"raw-{peer.transport}-{number}-{peer.local_port}",
        "CSeq": f"1 {method}",
        "Accept-Contact": ACCEPT_CONTACT,
        "P-Asserted-Service": "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg",
        "Conversation-ID": f"c0ffee00-0000-4000-8000-{number:012d}",
        "Contribution-ID": f"decade00-0000-4000-8000-{number:012d}",
        "Content-Type": "message/cpim",
        "Content-Length": str(len(body)),
    }
    for name, value in changes.items():
        fields[name.replace("_", "-")] = value
    lines = [f"{method} {uri} {version}".encode()]
    for name, values in fields.items():
        if values is None:
            continue
        for value in values if isinstance(values, list) else [values]:
            octets = value if isinstance(value, bytes) else value.encode()
            lines.append(names.get(name, name).encode() + b": " + octets)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def run(name, check):
    try:
        check()
    except Problem as problem:
        print(f"FAIL {name}: {problem}", flush=True)
        return False
    print(f"PASS {name}", flush=True)
    return True


class SipMessage:
    """A received message: start line, header fields (lower-case name to values), body."""

    def __init__(self, head, body):
        lines = head.decode("utf-8", "replace").split("\r\n")
        self.start = lines[0]
        self.body = body
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.fields.setdefault(name.strip().lower(), []).append(value.strip())

    @property
    def status(self):
        expect(self.start.startswith("SIP/2.0 "), f"no SIP response: {self.start!r}")
        return int(self.start.split(" ")[1])

    def first(self, name):
        return self.fields.get(name.lower(), [""])[0]


class Udp:
    """One UDP socket towards the listener."""

    transport = "UDP"

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(("127.0.0.1", port))

    @property
    def local_port(self):
        return self.socket.getsockname()[1]

    def send(self, octets):
        self.socket.send(octets)

    def receive(self, wait=WAIT):
        self.socket.settimeout(wait)
        try:
            octets = self.socket.recv(65535)
        except (socket.timeout, ConnectionError) as error:
            raise Problem(f"no answer ({error})") from None
        head, _, body = octets.partition(b"\r\n\r\n")
        return SipMessage(head, body)

    def close(self):
        self.socket.close()


class Tcp:
    """One TCP connection to the listener."""

    transport = "TCP"

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kept = b""

    @property
    def local_port(self):
        return self.socket.getsockname()[1]

    def send(self, octets):
        self.socket.sendall(octets)

    def _more(self, until):
        self.socket.settimeout(max(0.01, until - time.monotonic()))
        try:
            octets = self.socket.recv(65536)
        except socket.timeout:
            raise Problem(f"no answer in time, kept {self.kept[:80]!r}") from None
        except ConnectionError as error:
            raise Problem(f"connection broke: {error}") from None
        expect(octets, "connection closed instead of an answer")
        self.kept += octets

    def octets(self, count, wait=WAIT):
        until = time.monotonic() + wait
        while len(self.kept) < count:
            self._more(until)
        taken, self.kept = self.kept[:count], self.kept[count:]
        return taken

    def until(self, end, wait=WAIT):
        """Octets up to and with `end`."""
        until = time.monotonic() + wait
        while end not in self.kept:
            self._more(until)
        place = self.kept.index(end) + len(end)
        taken, self.kept = self.kept[:place], self.kept[place:]
        return taken

    def receive(self, wait=WAIT):
        head = self.until(b"\r\n\r\n", wait)[:-4]
        message = SipMessage(head, b"")
        length = int(message.first("content-length") or message.first("l") or 0)
        message.body = self.octets(length, wait)
        return message

    def expect_closed(self, wait=WAIT):
        """The far side ends the connection; what it still says before is read over."""
        until = time.monotonic() + wait
        while True:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                if not self.socket.recv(65536):
                    return
            except socket.timeout:
                raise Problem("the connection was left open") from None
            except ConnectionError:
                return

    def close(self):
        self.socket.close()


def reaches(transport, port):
    """A new peer of the listener."""
    return {"udp": Udp, "tcp": Tcp}[transport](port)


def good_message(peer, text):
    """A good message on this peer is answered with 200."""
    octets = request(peer, text=text)
    call_id = re.search(rb"Call-ID: (\S+)", octets).group(1).decode()
    peer.send(octets)
    answer = peer.receive()
    expect(answer.first("call-id") == call_id, f"answer to something else: {answer.start} for {answer.first('call-id')}")
    expect(answer.status == 200, f"the good message got {answer.start}")


def refused(peer, octets, status, **fields):
    """The answer is this status; `fields`: a pattern for the value of each."""
    peer.send(octets)
    answer = peer.receive()
    expect(answer.status == status, f"expected {status}, got {answer.start}")
    for name, pattern in fields.items():
        value = answer.first(name.replace("_", "-"))
        expect(re.search(pattern, value), f"{name}: {value!r} does not match {pattern!r}")
    return answer
