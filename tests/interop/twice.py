"""A UAC on UDP that sends everything twice: each request counts once, each answer comes for each copy.

usage: twice.py PORT"""
import socket
import sys

port = int(sys.argv[1])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
sock.settimeout(3)
me = "127.0.0.1:%d" % sock.getsockname()[1]
failed = 0


def check(name, good, why=""):
    global failed
    failed += 0 if good else 1
    print("PASS twice: " + name if good else "FAIL twice: %s: %s" % (name, why))


def request(method, number, branch, tag="", body=""):
    head = [
        "%s sip:bob@127.0.0.1:%d SIP/2.0" % (method, port),
        "Via: SIP/2.0/UDP %s;branch=z9hG4bK%s" % (me, branch),
        "From: <sip:twice@%s>;tag=t1" % me,
        "To: <sip:bob@127.0.0.1:%d>%s" % (port, ";tag=" + tag if tag else ""),
        "Call-ID: twice-%s" % me,
        "CSeq: %d %s" % (number, method),
        "Contact: <sip:twice@%s>" % me,
        "Max-Forwards: 70",
        "Content-Length: %d" % len(body),
    ]
    if body:
        head.insert(-1, "Content-Type: application/sdp")
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def twice(octets):
    for _ in range(2):
        sock.sendto(octets, ("127.0.0.1", port))


def finals(cseq, wanted):
    """The final responses to a request, until so many are there or none comes."""
    found = []
    while len(found) < wanted:
        try:
            text = sock.recv(65536).decode()
        except socket.timeout:
            break
        status = int(text.split(" ", 2)[1])
        if status >= 200 and "\r\nCSeq: " + cseq + "\r\n" in text:
            found.append(text)
    return found


def tag_of(text):
    to = [line for line in text.split("\r\n") if line.lower().startswith("to:")][0]
    return to.rsplit("tag=", 1)[1]


sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
twice(request("INVITE", 1, "i1", body=sdp))
oks = finals("1 INVITE", 2)
check("INVITE is one call", len(oks) >= 1 and len({tag_of(ok) for ok in oks}) == 1, repr(oks))
if not oks:
    sys.exit(1)
tag = tag_of(oks[0])
twice(request("ACK", 1, "a1", tag))
for number, method in enumerate(["OPTIONS", "MESSAGE", "BYE"], 2):
    twice(request(method, number, "m%d" % number, tag))
    answers = finals("%d %s" % (number, method), 2)
    good = len(answers) == 2 and answers[0] == answers[1] and answers[0].startswith("SIP/2.0 200")
    check(method + " has one answer, sent for each copy", good, repr(answers))
sys.exit(1 if failed else 0)
