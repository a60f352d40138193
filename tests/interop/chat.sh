# The part of `run` about `cpm chat`: Alice, and Bob with two devices, talk through `cpm serve`; SIPp is the third user; the
# server dies in between. Sourced by `run`, after serve.sh.

# Starts a chat that reads lines from a pipe; its file descriptor and output go by the name.
start_chat() { # <name> <file descriptor> <user> <password> <options...>
    local name=$1 descriptor=$2 user=$3 password=$4
    shift 4
    mkfifo "$logs/$name.in"
    CPM_PASSWORD=$password "$cpm" chat --as "sip:$user@home.test" --server "127.0.0.1:$serve_port" "$@" \
        <"$logs/$name.in" >"$logs/$name.chat" 2>&1 &
    chat_pid=$!
    children+=("$chat_pid")
    eval "exec $descriptor>\"$logs/$name.in\""
    on_screen "chat: $name registers with digest" "$name" 1 "registered as sip:$user@home.test"
}

# A text is shown so many times, in a while; and not more often.
on_screen() { # <what> <name> <times> <text>
    local tries count=0
    for tries in $(seq 150); do
        count=$(grep -cF -- "$4" "$logs/$2.chat")
        [ "$count" -ge "$3" ] && break
        sleep 0.1
    done
    if [ "$count" -eq "$3" ]; then
        pass "$1"
    else
        fail "$1" "'$4' is there $count times, not $3" "$logs/$2.chat" "$serve_log"
    fi
}

chat_checks() {
    serve_port=$(free_port)
    serve_page=$(free_port)
    carol_port=$(free_port)
    rm -f "$logs/serve.redb"
    start_serve serve_chat || return
    local alice phone tablet descriptor
    start_chat alice 5 alice wonderland --to sip:bob@home.test --store "$logs/kept"
    alice=$chat_pid
    start_chat phone 6 bob builder --device phone
    phone=$chat_pid
    start_chat tablet 7 bob builder --device tablet --tcp
    tablet=$chat_pid

    echo "hello from a terminal" >&5
    on_screen "chat: a message is on the first device" phone 1 "sip:alice@home.test: hello from a terminal"
    on_screen "chat: and on the second" tablet 1 "sip:alice@home.test: hello from a terminal"
    on_screen "chat: its sender is told once that it is delivered" alice 1 "[1] ✓ delivered to sip:bob@home.test"
    on_screen "chat: and once that it is read" alice 1 "[1] ✓✓ read by sip:bob@home.test"
    echo "/reply hello yourself" >&6
    on_screen "chat: the answer arrives" alice 1 "sip:bob@home.test: hello yourself"
    echo "/anon guess who" >&5
    on_screen "chat: anonymity is refused with its Warning" alice 1 "119 Anonymity not allowed"

    register "chat: a third user registers with SIPp" carol christmas "$carol_port"
    user "chat: the third user's message is taken" chat_send.xml u1 "$carol_port" -key user carol \
        -key peer bob -key mark chat
    on_screen "chat: it is on the first device once" phone 1 "sip:carol@home.test: chat: pager text"
    on_screen "chat: and on the second" tablet 1 "sip:carol@home.test: chat: pager text"

    kill -9 "$serve_pid"
    wait "$serve_pid" 2>/dev/null
    start_serve serve_chat_again || return
    echo "after the crash" >&5
    on_screen "chat: the server died and came back: a message is on the first device" phone 1 "sip:alice@home.test: after the crash"
    on_screen "chat: and read" alice 1 "✓✓ read by sip:bob@home.test  (after the crash)"

    # Her chat dies without a word; the next one knows what was said, who answered, and whom she talks with.
    kill -9 "$alice"
    wait "$alice" 2>/dev/null
    exec 5>&-
    start_chat again 5 alice wonderland --store "$logs/kept"
    alice=$chat_pid
    on_screen "chat: the next chat shows what came" again 1 "    sip:bob@home.test: hello yourself"
    on_screen "chat: and what was said" again 1 "    [1] to sip:bob@home.test: hello from a terminal"
    on_screen "chat: and what became of what was said" again 1 \
        "    [1] ✓✓ read by sip:bob@home.test  (hello from a terminal)"
    echo "back again" >&5
    on_screen "chat: and goes on where it was" phone 1 "sip:alice@home.test: back again"
    on_screen "chat: under the next number" again 1 "✓✓ read by sip:bob@home.test  (back again)"

    # A stranger asks; the chat dies before its user has said anything, and asks again.
    local desk
    start_chat desk 8 carol christmas --strangers ask --store "$logs/kept"
    desk=$chat_pid
    echo "/to sip:carol@home.test" >&5
    echo "may I know" >&5
    on_screen "chat: a stranger asks" desk 1 "sip:alice@home.test asks whether this arrived and is read"
    kill -9 "$desk"
    wait "$desk" 2>/dev/null
    exec 8>&-
    start_chat desk_again 8 carol christmas --strangers ask --store "$logs/kept"
    desk=$chat_pid
    on_screen "chat: and asks again after a restart" desk_again 1 \
        "sip:alice@home.test asks whether this arrived and is read: /allow tells  (may I know)"
    on_screen "chat: nothing was told meanwhile" again 0 "delivered to sip:carol@home.test"
    echo "/allow" >&8
    on_screen "chat: then the stranger is told" again 1 "✓ delivered to sip:carol@home.test  (may I know)"
    on_screen "chat: and that it is read" again 1 "✓✓ read by sip:carol@home.test  (may I know)"
    # What was allowed is not asked again.
    kill -9 "$desk"
    wait "$desk" 2>/dev/null
    exec 8>&-
    start_chat desk_last 8 carol christmas --strangers ask --store "$logs/kept"
    desk=$chat_pid
    on_screen "chat: what came is there again" desk_last 1 "    sip:alice@home.test: may I know"
    echo "/allow" >&8
    on_screen "chat: what was allowed is not asked again" desk_last 1 "nobody has asked"

    for descriptor in 5 6 7 8; do
        echo "/quit" >&"$descriptor"
    done
    if wait "$alice" && wait "$phone" && wait "$tablet" && wait "$desk"; then
        pass "chat: all end in good order"
    else
        fail "chat: all end in good order" "exit status $?" "$logs/again.chat" "$serve_log"
    fi
    exec 5>&- 6>&- 7>&- 8>&-
    kill "$serve_pid"
    wait "$serve_pid"
}
