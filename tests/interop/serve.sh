# The part of `run` about `cpm serve`: SIPp as its users, with digest over UDP and TCP, a crash in between. Sourced by it.

# Starts the server; the same store and port from the second time on. Sets serve_pid, serve_log.
start_serve() { # <name>
    serve_log="$logs/$1.serve"
    cat >"$logs/serve.toml" <<TOML
[listen]
sip = ["127.0.0.1:$serve_port"]
[core]
realm = "home.test"
algorithms = ["MD5", "SHA-256"]
[policy]
anonymity_originating = false
[store]
path = "$logs/serve.redb"
[metrics]
listen = "127.0.0.1:$serve_page"
[log]
level = "debug"
[[user]]
address = "sip:alice@home.test"
password = "wonderland"
[[user]]
address = "sip:bob@home.test"
ha1_md5 = "$(printf 'bob:home.test:builder' | md5sum | cut -c1-32)"
ha1_sha256 = "$(printf 'bob:home.test:builder' | sha256sum | cut -c1-64)"
[[user]]
address = "sip:carol@home.test"
password = "christmas"
TOML
    "$cpm" serve --config "$logs/serve.toml" >"$serve_log" 2>&1 &
    serve_pid=$!
    children+=("$serve_pid")
    local tries
    for tries in $(seq 100); do
        grep -q '^serving on' "$serve_log" && return 0
        kill -0 "$serve_pid" 2>/dev/null || break
        sleep 0.05
    done
    fail "$1" "cpm serve did not start" "$serve_log"
    return 1
}

# One SIPp scenario of a user of the server; passes when it ends well.
user() { # <name> <scenario> <SIPp transport> <local port> <options...>
    local name=$1 scenario=$2 transport=$3 port=$4
    shift 4
    if sipp_run "$name" "$scenario" "127.0.0.1:$serve_port" -t "$transport" -p "$port" "$@"; then
        pass "$name"
    else
        fail "$name" "SIPp failed" "$logs/$name.errors" "$logs/$name.sipp" "$logs/$name.messages" "$serve_log"
        return 1
    fi
}

register() { # <name> <user> <password> <local port>
    user "$1" serve_register.xml u1 "$4" -key user "$2" -au "$2" -ap "$3" -key expires 600 -key uri_params ""
}

# Carol sends to Bob, whose device reports; Bob's log has the text once.
exchange() { # <name> <mark>
    local name=$1 mark=$2 device ok
    sipp_run "$name.bob" serve_take.xml "127.0.0.1:$serve_port" -t u1 -p "$bob_port" -key user bob -key peer carol &
    device=$!
    children+=("$device")
    sleep 0.4
    user "$name" serve_send.xml u1 "$carol_port" -key user carol -key peer bob -key mark "$mark"
    wait "$device"
    ok=$?
    if [ "$ok" -ne 0 ]; then
        fail "$name: at the device" "SIPp ended with $ok" "$logs/$name.bob.errors" "$logs/$name.bob.messages" "$serve_log"
    elif [ "$(grep -c "took $mark: pager text from a third user of sip:carol@home.test" "$logs/$name.bob.reports")" -ne 1 ]; then
        fail "$name: at the device" "not taken once, from Carol" "$logs/$name.bob.reports" "$serve_log"
    else
        pass "$name: at the device, once, with the sender's identity"
    fi
}

serve_checks() {
    serve_port=$(free_port)
    serve_page=$(free_port)
    bob_port=$(free_port)
    carol_port=$(free_port)
    start_serve serve_first || return
    register "serve: Bob registers over UDP with digest" bob builder "$bob_port"
    register "serve: Carol registers over UDP with digest" carol christmas "$carol_port"
    exchange "serve: message and both reports over UDP" first
    local device
    sipp_run serve_tcp.bob serve_take.xml "127.0.0.1:$serve_port" -t u1 -p "$bob_port" -key user bob -key peer alice &
    device=$!
    children+=("$device")
    sleep 0.4
    user "serve: registration, message and both reports over one TCP connection" serve_tcp.xml t1 "$(free_port)" \
        -key user alice -au alice -ap wonderland -key expires 600 -key uri_params ";transport=tcp" -key peer bob \
        -key mark tcp
    wait "$device" || fail "serve: the device of the TCP user's peer" "SIPp failed" "$logs/serve_tcp.bob.errors" "$serve_log"
    user "serve: anonymity is refused with Warning 119" serve_anonymous.xml u1 "$carol_port" -key user carol \
        -key peer bob -key mark anonymous
    sed 's/STATUS/407/' "$here/serve_proof.xml" >"$logs/serve_wrong.xml"
    here=$logs user "serve: a stranger with a wrong password gets 407" serve_wrong.xml u1 "$(free_port)" \
        -key user alice -au alice -ap wrong -key peer bob -key mark wrong -auth_uri bob@home.test

    kill -9 "$serve_pid"
    wait "$serve_pid" 2>/dev/null
    start_serve serve_again || return
    exchange "serve: killed and started again: message and both reports" second
    if python3 - "$serve_page" <<'PYTHON'; then
import sys, urllib.request
def get(path):
    return urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}{path}", timeout=5).read().decode()
assert get("/healthz") == "ok\n"
assert "\ncpm_uptime_seconds " in get("/metrics")
PYTHON
        pass "serve: counters over HTTP"
    else
        fail "serve: counters over HTTP" "no such page" "$serve_log"
    fi
    kill "$serve_pid"
    wait "$serve_pid"
    local status=$?
    if [ "$status" -eq 0 ] && grep -q ' ended' "$serve_log"; then
        pass "serve: SIGTERM ends it in good order"
    else
        fail "serve: SIGTERM ends it in good order" "exit status $status" "$serve_log"
    fi
    if grep -qE 'wonderland|builder|christmas|pager text|Digest' "$logs"/serve_*.serve; then
        fail "serve: logs say no secrets" "they do" "$serve_log"
    else
        pass "serve: logs say no secrets, and nothing of what messages say"
    fi
}
