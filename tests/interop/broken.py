#!/usr/bin/env python3
"""Broken requests that SIPp cannot send, each followed by a good message that has to work.

usage: broken.py udp|tcp PORT LOG

Prints one PASS or FAIL line for each; exit status 1 when one failed. LOG is what the listener prints: every good
message has to be in it once, no refused one at all.
"""

import sys
import time

from wire import expect, good_message, reaches, refused, request, run

shown = []


def good(peer, text):
    """A good message on this peer is taken, and has to be shown."""
    good_message(peer, text)
    shown.append(text)


def silent(peer, octets):
    """No answer: what comes next is the answer to the good message after it (checked there by its Call-ID)."""
    peer.send(octets)


def cases_for_both(peer):
    big = "x" * 9000
    yield "missing Call-ID", lambda: refused(peer, request(peer, Call_ID=None), 400)
    yield "missing CSeq", lambda: refused(peer, request(peer, CSeq=None), 400)
    yield "missing From", lambda: refused(peer, request(peer, From=None), 400)
    yield "missing To", lambda: refused(peer, request(peer, To=None), 400)
    yield "missing Via: nowhere to answer", lambda: silent(peer, request(peer, Via=None))
    yield "CSeq of another method", lambda: refused(peer, request(peer, CSeq="1 INVITE"), 400)
    yield "CSeq number too large", lambda: refused(peer, request(peer, CSeq="4294967296 MESSAGE"), 400)
    yield "two Call-IDs", lambda: refused(peer, request(peer, Call_ID=["one", "two"]), 400)
    yield "two From, one compact", lambda: refused(peer, request(peer, f="<sip:other@127.0.0.1>;tag=o"), 400)
    yield "two Content-Types", lambda: refused(peer, request(peer, Content_Type=["message/cpim", "text/plain"]), 400)
    yield "unknown method", lambda: refused(peer, request(peer, method="BREW"), 501)
    yield "method in lower case is another method", lambda: refused(peer, request(peer, method="message"), 501)
    yield "known method, not allowed", lambda: refused(
        peer, request(peer, method="PUBLISH", body="", Content_Type=None), 405, allow="MESSAGE"
    )
    yield "Require of an unknown extension", lambda: refused(peer, request(peer, Require="foo"), 420, unsupported="^foo$")
    yield "unknown scheme", lambda: refused(peer, request(peer, uri="gopher:listener@127.0.0.1"), 416)
    yield "another version", lambda: refused(peer, request(peer, version="SIP/3.0"), 505)
    yield "text/plain", lambda: refused(peer, request(peer, body="plain", Content_Type="text/plain"), 415, accept="message/cpim")
    yield "oversize URI", lambda: refused(peer, request(peer, uri=f"sip:{'u' * 2000}@127.0.0.1"), 414)
    yield "oversize header field", lambda: refused(peer, request(peer, Subject=big), 400)
    yield "too many header fields", lambda: refused(peer, request(peer, X_Filler=["x"] * 200), 400)
    yield "bad Request-Line", lambda: refused(peer, request(peer, uri="sip:listener@127.0.0.1 and more"), 400)
    yield "CPIM without a message", lambda: refused(peer, request(peer, body="this is no cpim"), 400)
    yield "broken ACK: never answered", lambda: silent(peer, request(peer, method="ACK", CSeq="1 BREW"))
    yield "stray response: never answered", lambda: silent(
        peer, request(peer, body="").replace(b"MESSAGE sip:listener@127.0.0.1 SIP/2.0", b"SIP/2.0 200 OK", 1)
    )


def cases_for_udp(peer):
    whole = request(peer)
    yield "Content-Length beyond the datagram", lambda: refused(peer, request(peer, Content_Length="5000"), 400)
    yield "Content-Length is no number", lambda: refused(peer, request(peer, Content_Length="+17"), 400)
    yield "Content-Length of 2^32-1", lambda: refused(peer, request(peer, Content_Length="4294967295"), 413)
    yield "Content-Length of 2^32+1", lambda: refused(peer, request(peer, Content_Length="4294967297"), 400)
    yield "control character in a field name", lambda: refused(peer, request(peer, names={"Conversation-ID": "Conv\x01"}), 400)
    yield "two Content-Lengths", lambda: refused(peer, request(peer, Content_Length=["3", "3"]), 400)
    yield "empty datagram", lambda: silent(peer, b"")
    yield "blank lines", lambda: silent(peer, b"\r\n\r\n")
    yield "noise", lambda: silent(peer, bytes(range(256)) * 4)
    yield "one octet", lambda: silent(peer, b"M")
    yield "cut inside the start line", lambda: silent(peer, whole[:30])
    yield "cut inside the body", lambda: refused(peer, request(peer)[:-10], 400)


def glued_datagram(peer):
    """RFC 3261 §18.3: what follows Content-Length octets in a datagram is not looked at."""
    first, second = request(peer, text="first of two in a datagram"), request(peer, text="second of two: dropped")
    answer = refused(peer, first + second, 200)
    expect(answer.first("call-id").encode() in first, "the answer is not for the first")
    shown.append("first of two in a datagram")


def compact_forms(peer):
    names = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Content-Type": "c", "Content-Length": "l", "Accept-Contact": "a"}
    refused(peer, request(peer, text="every name in its short form", names=names), 200)
    shown.append("every name in its short form")


def folded(peer):
    octets = request(peer, text="some lines continued").replace(b"Accept-Contact: *;", b"Accept-Contact: *\r\n\t ;", 1)
    octets = octets.replace(b"Via: ", b"VIA :\r\n  ", 1)
    refused(peer, octets, 200)
    shown.append("some lines continued")


def bytewise(peer):
    """TCP: one octet at a time, in segments of their own as far as the system lets us."""
    octets = request(peer, text="in segments of one octet")
    for place in range(len(octets)):
        peer.send(octets[place : place + 1])
        if place % 64 == 0:
            time.sleep(0.001)
    expect(peer.receive().status == 200, "not taken")
    shown.append("in segments of one octet")


def glued_stream(peer):
    """TCP: three messages in one write, a keep-alive between; three answers, in any order."""
    texts = ["glued, first", "glued, second", "glued, third"]
    one, two, three = (request(peer, text=text) for text in texts)
    peer.send(one + two + b"\r\n" + three)
    for _ in texts:
        answer = peer.receive()
        while answer.start == "":
            answer = peer.receive()
        expect(answer.status == 200, f"got {answer.start}")
    shown.extend(texts)


def keep_alive(peer):
    """RFC 5626 §3.5.1: two CRLF are answered with one."""
    peer.send(b"\r\n\r\n")
    expect(peer.octets(2) == b"\r\n", "no pong")


def framing_lost(port, text, octets_of, statuses):
    """TCP: framing is lost; the answer, where there is one, then the end of the connection. The listener lives on."""
    peer = reaches("tcp", port)
    try:
        peer.send(octets_of(peer))
        if statuses:
            answer = peer.receive()
            expect(answer.status in statuses, f"expected {statuses}, got {answer.start}")
        peer.expect_closed()
    finally:
        peer.close()
    other = reaches("tcp", port)
    try:
        good(other, f"good after {text}, new connection")
    finally:
        other.close()


def cases_of_lost_framing(port):
    def lost(text, octets_of, statuses):
        return text, lambda: framing_lost(port, text, octets_of, statuses)

    yield lost("no Content-Length", lambda p: request(p, Content_Length=None), [400])
    yield lost("Content-Length is no number", lambda p: request(p, Content_Length="12x"), [400])
    yield lost("two different Content-Lengths", lambda p: request(p, Content_Length=["3", "400"]), [400])
    yield lost("control character in a field name", lambda p: request(p, names={"Conversation-ID": "Conv\x01"}), [400])
    yield lost("Content-Length of 4 GiB", lambda p: request(p, Content_Length="4294967295"), [413, 513])
    yield lost("endless header", lambda p: request(p).split(b"\r\n\r\n")[0] + b"\r\nSubject: " + b"y" * 70000, [400, 413, 513])
    yield lost("endless noise", lambda _: b"z" * 70000, [])


def printed_once(log):
    """Every good message is shown once, no refused one."""
    deadline = time.monotonic() + 3
    while True:
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        missing = [line for line in shown if line not in text]
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    expect(not missing, f"not shown: {missing}")
    twice = [line for line in shown if text.count(line) != 1]
    expect(not twice, f"shown more than once: {twice}")
    expect("must not be shown" not in text, "a refused message was shown")
    expect("dropped" not in text, "octets behind a datagram's message were shown")


def main():
    transport, port, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    results = []
    peer = reaches(transport, port)

    def then_good(name, check):
        nonlocal peer

        def both():
            check()
            good(peer, f"good after {name}.")

        passed = run(f"{transport}: {name}", both)
        if not passed:
            # A late answer must not be taken for the next one's.
            peer.close()
            peer = reaches(transport, port)
        results.append(passed)

    def all_with_current_peer(cases):
        names = [name for name, _ in cases(peer)]
        for name in names:
            then_good(name, lambda name=name: dict(cases(peer))[name]())

    results.append(run(f"{transport}: a good message", lambda: good(peer, "the first good one")))
    all_with_current_peer(cases_for_both)
    then_good("compact forms", lambda: compact_forms(peer))
    then_good("folded fields", lambda: folded(peer))
    if transport == "udp":
        all_with_current_peer(cases_for_udp)
        then_good("two messages in a datagram", lambda: glued_datagram(peer))
    else:
        then_good("one octet at a time", lambda: bytewise(peer))
        then_good("three glued messages", lambda: glued_stream(peer))
        then_good("keep-alive", lambda: keep_alive(peer))
        for name, check in cases_of_lost_framing(port):
            results.append(run(f"tcp, framing lost: {name}", check))
    results.append(run(f"{transport}: what the listener printed", lambda: printed_once(log)))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
