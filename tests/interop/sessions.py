#!/usr/bin/env python3
"""Sessions for large messages that are refused, and one whose offerer connects itself.

usage: sessions.py udp|tcp PORT LOG

Prints one PASS or FAIL line for each; exit status 1 when one failed. LOG is what the listener prints.
"""

import re
import sys
import time

from msrp_passive import Msrp, answered, send_request
from wire import cpim, expect, good_message, reaches, refused, request, run

LARGE = '*;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg";require;explicit'
OWN_PATH = "msrp://127.0.0.1:9/offererconnects1;tcp"
TEXT = "the offerer connected to send this"


def offer(**changes):
    """An SDP offer. `changes`: attribute to another value, or None to drop it; `media` for the m= line."""
    attributes = {
        "accept-types": "message/cpim",
        "accept-wrapped-types": "*",
        "sendonly": "",
        "path": OWN_PATH,
        "file-selector": "size:2000",
        "setup": "actpass",
        "msrp-cema": "",
    }
    media = changes.pop("media", "m=message 9 TCP/MSRP *")
    attributes.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", media]
    for name, value in attributes.items():
        if value is not None:
            lines.append(f"a={name}:{value}" if value else f"a={name}")
    return "\r\n".join(lines) + "\r\n"


def invite(peer, body, **changes):
    transport = ";transport=tcp" if peer.transport == "TCP" else ""
    fields = {
        "Accept_Contact": LARGE,
        "P_Asserted_Service": "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg",
        "Contact": f"<sip:raw@127.0.0.1:{peer.local_port}{transport}>",
        "Content_Type": "application/sdp" if body else None,
    }
    fields.update(changes)
    return request(peer, method="INVITE", body=body, **fields)


def acknowledge(peer, octets, answer, **changes):
    """ACK for the final answer to an INVITE; the same transaction when it is a refusal."""
    head = octets.decode().split("\r\n\r\n")[0]
    value = lambda name: re.search(rf"(?m)^{name}: (.*?)\r?$", head).group(1)
    refusal = answer.status >= 300
    fields = {
        "From": value("From"),
        "To": answer.first("to"),
        "Call_ID": value("Call-ID"),
        "CSeq": "1 ACK",
        "Content_Type": None,
    }
    if refusal:
        fields["Via"] = value("Via")
    fields.update(changes)
    target = "sip:listener@127.0.0.1" if refusal else answer.first("contact").split("<")[1].split(">")[0]
    return request(peer, method="ACK", uri=target, body="", **fields)


def final(peer):
    while True:
        answer = peer.receive()
        if answer.status >= 200:
            return answer


def declined(peer, status, body, **changes):
    """The offer is refused with this status, and the answer to ACK is silence."""
    octets = invite(peer, body, **changes)
    peer.send(octets)
    answer = final(peer)
    peer.send(acknowledge(peer, octets, answer))
    expect(answer.status == status, f"expected {status}, got {answer.start}")


def offerer_connects(peer):
    """RFC 6135: the offer says that its side connects; the answer has to listen."""
    octets = invite(peer, offer(setup="active"))
    peer.send(octets)
    answer = final(peer)
    expect(answer.status == 200, f"got {answer.start}")
    sdp = answer.body.decode()
    expect("a=setup:passive" in sdp, f"no passive side in {sdp!r}")
    peer_path = re.search(r"a=path:(\S+)", sdp).group(1)
    ack = acknowledge(peer, octets, answer)
    peer.send(ack)
    connection = reaches("tcp", int(re.search(r"m=message (\d+) ", sdp).group(1)))
    msrp = Msrp(connection.socket)
    msrp.send(
        f"MSRP bindfirst SEND\r\nTo-Path: {peer_path}\r\nFrom-Path: {OWN_PATH}\r\nMessage-ID: b1nd\r\n"
        f"Byte-Range: 1-0/0\r\n-------bindfirst$\r\n".encode()
    )
    expect(answered(msrp, OWN_PATH, peer_path, 200) == "bindfirst", "another answer")
    body = cpim(TEXT, f"connects-{peer.transport}")
    msrp.send(send_request(peer_path, OWN_PATH, "wholeone", "m1.whole", body, 1, len(body), "$"))
    expect(answered(msrp, OWN_PATH, peer_path, 200) == "wholeone", "another answer")
    bye = (
        ack.replace(b"ACK ", b"BYE ", 1)
        .replace(b"CSeq: 1 ACK", b"CSeq: 2 BYE", 1)
        .replace(b"branch=z9hG4bK", b"branch=z9hG4bKbye", 1)
    )
    refused(peer, bye, 200)
    msrp.expect_closed()


def shown(log):
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        with open(log, encoding="utf-8", errors="replace") as file:
            count = file.read().count(TEXT)
        if count:
            break
        time.sleep(0.1)
    expect(count == 1, f"shown {count} times")


def cases(peer):
    yield "no session description", lambda: declined(peer, 488, "")
    yield "broken session description", lambda: declined(peer, 400, "v=0\r\nthis is none\r\n")
    yield "no MSRP in it", lambda: declined(peer, 488, offer(media="m=audio 4000 RTP/AVP 0"))
    yield "no path", lambda: declined(peer, 488, offer(path=None))
    yield "no type that is taken", lambda: declined(peer, 488, offer(accept_types="text/plain"))
    yield "nothing will be sent", lambda: declined(peer, 488, offer(sendonly=None, recvonly=""))
    yield "too large", lambda: declined(peer, 403, offer(file_selector="size:99999999999"))
    yield "a service that is not ours", lambda: declined(
        peer, 488, offer(), Accept_Contact='*;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"'
    )
    yield "an extension that is not ours", lambda: declined(peer, 420, offer(), Require="100rel")
    yield "BYE without a dialog", lambda: refused(
        peer, request(peer, method="BYE", body="", To="<sip:l@127.0.0.1>;tag=none", Content_Type=None), 481
    )
    yield "CANCEL of nothing", lambda: refused(peer, request(peer, method="CANCEL", body="", Content_Type=None), 481)
    yield "ACK of nothing: never answered", lambda: peer.send(request(peer, method="ACK", body="", Content_Type=None))
    yield "the offerer connects", lambda: offerer_connects(peer)


def main():
    transport, port, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    results = []
    for name in [name for name, _ in cases(None)]:
        peer = reaches(transport, port)

        def check(name=name, peer=peer):
            dict(cases(peer))[name]()
            good_message(peer, f"good after {name}")

        results.append(run(f"{transport}, session: {name}", check))
        peer.close()
    results.append(run(f"{transport}, session: what the listener printed", lambda: shown(log)))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
