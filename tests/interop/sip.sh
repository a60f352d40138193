# The SIP part of `run`: foreign user agents and a foreign proxy against `cpm endpoint`. Sourced by it.

# Starts an endpoint in the background; sets end_pid, end_log.
start_endpoint() { # <name> <bind> <options...>
    end_log="$logs/$1.endpoint"
    local name=$1 tries
    local at=$2
    shift 2
    "$cpm" endpoint --bind "$at" --timeout 40 "$@" >"$end_log" 2>&1 &
    end_pid=$!
    children+=("$end_pid")
    for tries in $(seq 100); do
        grep -q '^listening on' "$end_log" && return 0
        kill -0 "$end_pid" 2>/dev/null || break
        sleep 0.05
    done
    fail "$name" "cpm endpoint did not start" "$end_log"
    return 1
}

# The endpoint ends well by itself (its steps are done), or when it is told to.
stop_endpoint() { # <name> [kill]
    [ "${2:-}" = kill ] && kill "$end_pid" 2>/dev/null
    wait "$end_pid" 2>/dev/null
    local status=$?
    [ "$status" -eq 0 ] && return 0
    fail "$1" "cpm endpoint ended with $status" "$end_log"
    return 1
}

sipp_at() { # <name> <local address> <options...>: one call, or as many as a later -m says
    local name=$1 ip=$2
    shift 2
    timeout 25 sipp -i "$ip" -m 1 -nostdin -timeout 15 -timeout_error \
        -trace_err -error_file "$logs/$name.errors" -trace_msg -message_file "$logs/$name.messages" \
        "$@" >"$logs/$name.sipp" 2>&1
}

# SIPp calls the endpoint: its own scenario, or a file.
called() { # <name> <address> <SIPp transport> <calls> <scenario or ""> <endpoint options...>
    local name=$1 ip=$2 transport=$3 calls=$4 scenario=$5 port host
    shift 5
    port=$(free_port)
    host=$ip
    case "$ip" in *:*) host="[$ip]" ;; esac
    start_endpoint "$name" "$host:$port" "$@" || return
    local what=(-sn uac)
    [ -n "$scenario" ] && what=(-sf "$here/$scenario")
    if sipp_at "$name" "$host" "${what[@]}" -t "$transport" -p "$(free_port)" -m "$calls" -d 50 "$host:$port"; then
        stop_endpoint "$name" kill && pass "$name"
    else
        fail "$name" "SIPp failed" "$logs/$name.errors" "$logs/$name.sipp" "$end_log"
        kill "$end_pid" 2>/dev/null
    fi
}

# The endpoint does steps against SIPp; HOST stands for its address in them.
calls() { # <name> <address> <SIPp transport> <scenario or ""> <endpoint options...>
    local name=$1 ip=$2 transport=$3 scenario=$4 port host sipp_pid args=() arg
    shift 4
    port=$(free_port)
    host=$ip
    case "$ip" in *:*) host="[$ip]" ;; esac
    local what=(-sn uas)
    [ -n "$scenario" ] && what=(-sf "$here/$scenario")
    sipp_at "$name" "$host" "${what[@]}" -t "$transport" -p "$port" &
    sipp_pid=$!
    children+=("$sipp_pid")
    sleep 0.5
    for arg in "$@"; do args+=("${arg//HOST/$host:$port}"); done
    start_endpoint "$name" "$host:0" "${args[@]}" || return
    if ! stop_endpoint "$name"; then
        kill "$sipp_pid" 2>/dev/null
        return
    fi
    if wait "$sipp_pid"; then
        pass "$name"
    else
        fail "$name" "SIPp failed" "$logs/$name.errors" "$logs/$name.sipp" "$end_log"
    fi
}

everything_twice() {
    local name=twice port status
    port=$(free_port)
    start_endpoint "$name" "127.0.0.1:$port" || return
    timeout 30 python3 -B "$here/twice.py" "$port" >"$logs/$name.out" 2>&1
    status=$?
    take_over "$name" "$status" "$logs/$name.out"
    local method
    for method in INVITE MESSAGE BYE; do
        if [ "$(grep -c "^$method came" "$end_log")" -eq 1 ]; then
            pass "$name: one $method reached the agent"
        else
            fail "$name: one $method reached the agent" "not one" "$end_log"
        fi
    done
    stop_endpoint "$name" kill
}

# Two endpoints and Kamailio between them: registration with digest, MESSAGE, a call with Record-Route, re-INVITE, BYE.
through_kamailio() { # <udp|tcp>
    local name="kamailio_$1" transport=$1 port modules kamailio_pid bob_pid bob_log alice status
    modules=$(dirname "$(find / -name registrar.so -path '*kamailio*' 2>/dev/null | head -n 1)")
    port=$(free_port)
    sed -e "s/PORT/$port/" -e "s#MODULES#$modules#" "$here/kamailio.cfg" >"$logs/$name.cfg"
    kamailio -f "$logs/$name.cfg" -DD -E -P "$logs/$name.pid" -Y "$logs" >"$logs/$name.log" 2>&1 &
    kamailio_pid=$!
    children+=("$kamailio_pid")
    sleep 1.5
    if ! kill -0 "$kamailio_pid" 2>/dev/null; then
        fail "$name" "Kamailio did not start" "$logs/$name.log"
        return
    fi
    local common=(--password secret --registrar "sip:127.0.0.1:$port" --outbound "$transport:127.0.0.1:$port")
    start_endpoint "$name.bob" 127.0.0.1:0 --identity sip:bob@127.0.0.1 --user bob "${common[@]}" --ring 100 \
        --do register --do await-message --do await-call --do await-bye --do deregister || return
    bob_pid=$end_pid bob_log=$end_log
    local tries
    for tries in $(seq 60); do
        grep -q '^registered for' "$bob_log" && break
        sleep 0.05
    done
    alice="$logs/$name.alice"
    timeout 30 "$cpm" endpoint --bind 127.0.0.1:0 --identity sip:alice@127.0.0.1 --user alice "${common[@]}" \
        --do register --do 'message sip:bob@127.0.0.1 through the proxy' --do 'invite sip:bob@127.0.0.1' \
        --do reinvite --do bye --do deregister >"$alice" 2>&1
    status=$?
    wait "$bob_pid"
    local bob=$?
    if [ "$status" -ne 0 ]; then
        fail "$name: the caller" "ended with $status" "$alice" "$bob_log" "$logs/$name.log"
    else
        pass "$name: registered with digest, message, call, change and end through the proxy"
    fi
    if [ "$bob" -ne 0 ] || ! grep -qF 'message: through the proxy' "$bob_log"; then
        fail "$name: the called" "ended with $bob" "$bob_log" "$alice"
    elif [ "$(grep -c '^INVITE came in the call' "$bob_log")" -ne 1 ]; then
        fail "$name: the called" "the re-INVITE did not come" "$bob_log"
    else
        pass "$name: message and call came, the re-INVITE on the recorded route"
    fi
    kill "$kamailio_pid" 2>/dev/null
    wait "$kamailio_pid" 2>/dev/null
}

sip_checks() {
    called uac_udp 127.0.0.1 u1 5 "" --ring 50
    called uac_tcp 127.0.0.1 t1 5 "" --ring 50
    called uac_udp6 ::1 u1 2 ""
    called uac_tcp6 ::1 t1 2 ""
    called reinvite_udp 127.0.0.1 u1 1 reinvite.xml
    called reinvite_tcp 127.0.0.1 t1 1 reinvite.xml
    called subscribe_udp 127.0.0.1 u1 1 subscribe.xml
    called subscribe_tcp 127.0.0.1 t1 1 subscribe.xml
    calls uas_udp 127.0.0.1 u1 "" --do "invite sip:sipp@HOST" --do "wait 100" --do bye
    calls uas_tcp 127.0.0.1 t1 "" --do "invite sip:sipp@HOST;transport=tcp" --do "wait 100" --do bye
    calls uas_udp6 ::1 u1 "" --do "invite sip:sipp@HOST" --do bye
    calls notifier_udp 127.0.0.1 u1 notifier.xml --do "subscribe sip:sipp@HOST presence" --do unsubscribe
    calls notifier_tcp 127.0.0.1 t1 notifier.xml --do "subscribe sip:sipp@HOST;transport=tcp presence" --do unsubscribe
    calls registrar_udp 127.0.0.1 u1 registrar.xml --identity sip:alice@127.0.0.1 --user alice --password secret \
        --registrar sip:HOST --do register --do deregister
    calls registrar_tcp 127.0.0.1 t1 registrar.xml --identity sip:alice@127.0.0.1 --user alice --password secret \
        --registrar "sip:HOST;transport=tcp" --do register --do deregister
    everything_twice
    through_kamailio udp
    through_kamailio tcp
}
