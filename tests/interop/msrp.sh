# MSRP alone, and Wireshark's dissector as a reader of what the demonstrations put on the wire. Sourced by run.

# A peer of raw sockets against `cpm msrp listen` and `cpm msrp send`.
foreign_peer() {
    timeout 120 python3 -B "$here/msrp_peer.py" "$cpm" >"$logs/msrp_peer.out" 2>&1
    take_over msrp_peer "$?" "$logs/msrp_peer.out"
}

# tshark is wanted and not needed: where it cannot be had the checks are not run, and that is said.
has_tshark() {
    local as_root=()
    command -v tshark >/dev/null && return
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get install -q -y --no-install-recommends tshark >"$logs/tshark.install" 2>&1
    command -v tshark >/dev/null
}

dissected() { # <demonstration> <least number of MSRP frames> <what else a bad frame is>
    local name="tshark demo $1" pcap="$logs/$1.pcap" protocol count bad
    if ! "$cpm" demo "$1" --color never --pcap "$pcap" >"$logs/$1.demo" 2>&1; then
        fail "$name" "the demonstration failed" "$logs/$1.demo"
        return
    fi
    for protocol in sip sdp msrp; do
        count=$(tshark -r "$pcap" -Y "$protocol" 2>"$logs/$1.tshark" | wc -l)
        if [ "$count" -lt "$([ "$protocol" = msrp ] && echo "$2" || echo 2)" ]; then
            fail "$name" "$count frames of $protocol" "$logs/$1.tshark"
            return
        fi
    done
    # 8388608 is the severity of errors. The system chooses ports that some protocol may have been given: what is taken for that
    # one says nothing of ours.
    bad=$(tshark -r "$pcap" -Y "(_ws.malformed || _ws.expert.severity == 8388608) && (sip || msrp) $3" 2>"$logs/$1.tshark")
    if [ -n "$bad" ] || grep -q 'invalid\|aren.t' "$logs/$1.tshark"; then
        echo "$bad" >>"$logs/$1.tshark"
        fail "$name" "malformed packets" "$logs/$1.tshark"
    else
        pass "$name: no malformed packet"
    fi
}

msrp_checks() {
    foreign_peer
    if has_tshark; then
        # Few segments begin with MSRP: the dissector reads no second message in one, and none across them.
        dissected large 1 ""
        # It takes each segment for a whole message: of random octets that are cut anywhere it makes what it will.
        dissected file 8 "&& !msrp"
    else
        echo "SKIP tshark: it is not installed and cannot be; what the demonstrations send was not read by it"
    fi
}
