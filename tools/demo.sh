#!/usr/bin/env bash
# tools/demo.sh: a real private swarm on loopback, started, used and stopped. `./dev demo` calls it.
#
#   --kith PATH       the program (required)
#   --stay            keep the swarm running until Ctrl-C
#   --question TEXT   what to ask
#   --model FILE      the GGUF to use (default: the built-in guide)
#   --while COMMAND   run COMMAND after the answer, while all three nodes are still up; its exit status is the demo's.
#                     It sees KITH_DEMO_FOLDER (operator/, anna/, ben/ below it are the state folders; *.pid, *.log,
#                     prompt.txt, answer.txt beside them) and KITH_DEMO_PORTS (the P2P ports, separated by spaces).
#
# Three processes, each with its own state folder, identity and ports: an operator and two members. No remote member
# holds the first or the last shard of the model, and encrypted_pipeline is on, so the asker computes both ends.
# Everything this script starts it stops, by process id, also on Ctrl-C; the folder is removed.
set -euo pipefail

kith=
model=models/guide/kith-guide.gguf
model_name=guide
question='What does encrypted_pipeline do?'
stay=no
while_command=
folder=
pids=()
wait_seconds=60 # for each thing waited for; sanitizer builds on a busy machine are slow

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

note() { printf '\n\033[1m%s\033[0m\n' "$*" | if [[ -t 1 ]]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

# Shows a command as a person would type it, then runs it.
show() {
    printf '  $ %s\n' "$1"
    shift
    "$@" 2>&1 | sed 's/^/    /'
}

# Ends every node: last started, first stopped; five seconds of patience each, then for good.
stop_nodes() {
    local pid i
    for ((i = ${#pids[@]} - 1; i >= 0; --i)); do
        kill -TERM "${pids[i]}" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        for ((i = 0; i < 50; ++i)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}

on_exit() {
    local status=$? log
    trap '' INT TERM # a second Ctrl-C does not interrupt the clearing up
    trap - EXIT
    stop_nodes
    if [[ $status != 0 && $status != 130 && $status != 143 && -n $folder ]]; then
        for log in "$folder"/*.log; do
            [[ -s $log ]] && printf -- '---- last lines of %s\n' "${log##*/}" && tail -n 20 "$log"
        done >&2
    fi
    [[ -n $folder ]] && rm -rf -- "$folder"
    exit "$status"
}

# A TCP port on loopback that nobody listens on now.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 12000))
        [[ " ${ports_taken:-} " == *" $port "* ]] && continue
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
        ports_taken+=" $port"
        chosen_port=$port
        return
    done
}

# A command line client of one node: node NAME COMMAND...
node() {
    local name=$1
    shift
    "$kith" --config-dir "$folder/$name" "$@"
}

# wait_until WHAT COMMAND...: until it succeeds; fails after wait_seconds or when a node has died.
wait_until() {
    local what=$1 end=$((SECONDS + wait_seconds)) pid
    shift
    until "$@" >/dev/null 2>&1; do
        for pid in "${pids[@]}"; do
            kill -0 "$pid" 2>/dev/null || die "a node stopped while waiting until $what"
        done
        ((SECONDS < end)) || die "waited $wait_seconds s in vain until $what"
        sleep 0.1
    done
}

prepare_node() {
    local name=$1 p2p_port http_port
    free_port && p2p_port=$chosen_port
    free_port && http_port=$chosen_port
    mkdir -m 0700 "$folder/$name"
    (umask 077 && cat >"$folder/$name/config.toml") <<TOML
[node]
listen = ["127.0.0.1:$p2p_port"]

[api]
port = $http_port

[inference]
encrypted_pipeline = true
TOML
    p2p_ports+=("$p2p_port")
    [[ $name == operator ]] && operator_http_port=$http_port
    return 0
}

start_node() {
    local name=$1
    "$kith" --config-dir "$folder/$name" serve >"$folder/$name.log" 2>&1 </dev/null &
    pids+=($!)
    echo "$!" >"$folder/$name.pid"
    wait_until "$name answers" node "$name" status --json
}

# The one field of a JSON document on standard input; enough for what kith prints, and a bare Debian has no jq.
json_field() {
    sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" | head -n 1
}

join_member() {
    local name=$1 token
    printf '  $ kith invite create        # the operator, for %s; the token is shown once\n' "$name"
    token=$(node operator invite create --json 2>"$folder/invite.err" | json_field token) || true
    [[ $token == kith1* ]] || die "invite create gave no token: $(<"$folder/invite.err")"
    ((${#pids[@]} > 1)) || sed 's/^/    /' "$folder/invite.err" # once is enough
    KITH_INVITE_TOKEN=$token show "KITH_INVITE_TOKEN=kith1... kith join        # on the machine of $name" \
        node "$name" join
    start_node "$name"
}

# Stages hand on to each other directly, so anna needs sessions with both others.
members_are_linked() {
    (($(node anna peers --json | grep -Eo '"session": *true' | wc -l) >= 2))
}

model_is_answerable() {
    node operator models list --json | grep -Eq '"answerable": *true'
}

# Cuts the model and moves the middle to the members, half each; the operator keeps the two ends.
spread_model() {
    local shards middle
    show "kith models add $model --name $model_name" node operator models add "$model" --name "$model_name"
    shards=$(node operator models list --json | json_field shards_count)
    [[ $shards =~ ^[0-9]+$ ]] || die "models list --json gave no number of shards"
    ((shards >= 4)) || die "the model has $shards shards; the demo needs two ends and two middles"
    middle=$(((shards - 2) / 2))
    show "kith models fetch $model_name --shards 1-$middle      # anna" \
        fetch_when_connected anna "1-$middle"
    show "kith models fetch $model_name --shards $((middle + 1))-$((shards - 2))      # ben" \
        fetch_when_connected ben "$((middle + 1))-$((shards - 2))"
    show "kith models drop $model_name --shards 1-$((shards - 2))      # operator: the members compute the middle now" \
        drop_when_announced "1-$((shards - 2))"
    wait_until "the model is answerable" model_is_answerable
    wait_until "anna and ben have a session with each other" members_are_linked
}

# The operator lets go of shards only when it has heard that members serve them.
drop_when_announced() {
    local end=$((SECONDS + wait_seconds))
    until node operator models drop "$model_name" --shards "$1" 2>"$folder/drop.err"; do
        ((SECONDS < end)) || { cat "$folder/drop.err" >&2; die "the operator could not drop shards $1"; }
        sleep 0.2
    done
}

# A member that has just started may not have its connections yet (exit 69 and 75 mean: try again).
fetch_when_connected() {
    local end=$((SECONDS + wait_seconds)) status
    while true; do
        status=0
        node "$1" models fetch "$model_name" --shards "$2" 2>"$folder/fetch.err" && return
        status=$?
        ((SECONDS < end)) || break
        sleep 0.2
    done
    cat "$folder/fetch.err" >&2
    die "$1 could not fetch shards $2 (exit $status)"
}

# Prints the text of one JSON string literal (without its quotes).
unescape() {
    local text=$1 out='' code
    while [[ $text == *\\* ]]; do
        out+=${text%%\\*}
        text=${text#*\\}
        case $text in
            n*) out+=$'\n' ;;
            t*) out+=$'\t' ;;
            r*) out+=$'\r' ;;
            u*)
                code=${text:1:4}
                printf -v code '%b' "\\u$code"
                out+=$code
                text=${text:4}
                ;;
            *) out+=${text:0:1} ;;
        esac
        text=${text:1}
    done
    printf '%s' "$out$text"
}

# Asks through the OpenAI endpoint and prints the pieces as they arrive. The key goes to curl through a file: an
# argument would be readable by every user of the machine.
ask() {
    local line pattern='"content":"(([^"\\]|\\.)*)"' finished=no
    (umask 077 && printf 'Authorization: Bearer %s\n' "$(<"$folder/operator/api.key")" >"$folder/header")
    printf '%s' "$question" >"$folder/prompt.txt"
    : >"$folder/answer.txt"
    cat >"$folder/request.json" <<JSON
{"model": "$model_name", "stream": true, "temperature": 0, "max_tokens": 120,
 "messages": [{"role": "user", "content": "$(sed 's/[\\"]/\\&/g' "$folder/prompt.txt")"}]}
JSON
    while IFS= read -r line; do
        [[ $line == *'[DONE]'* ]] && finished=yes
        if [[ $line =~ $pattern ]]; then
            unescape "${BASH_REMATCH[1]}" | tee -a "$folder/answer.txt"
        elif [[ $line == *'"error"'* ]]; then
            printf '%s\n' "$line" >&2
        fi
    done < <(curl -sS -N --max-time 120 -H @"$folder/header" -H 'Content-Type: application/json' \
        --data-binary @"$folder/request.json" "http://127.0.0.1:$operator_http_port/v1/chat/completions")
    printf '\n'
    [[ $finished == yes && -s $folder/answer.txt ]] || die "no complete answer came back"
}

closing_words() {
    if [[ $stay == yes ]]; then
        cat <<TEXT

The swarm keeps running; Ctrl-C stops it and removes its folder. From another terminal:
  chat:             $kith --config-dir $folder/operator run $model_name
  OpenAI clients:   http://127.0.0.1:$operator_http_port/v1 with the key in $folder/operator/api.key
  your own model:   $kith --config-dir $folder/operator models add FILE.gguf
TEXT
    else
        cat <<TEXT

Everything that was started is stopped again. To go on:
  keep it running:  ./dev demo --stay
  chat:             kith run            (./dev demo --stay prints the whole command line)
  your own model:   kith models add FILE.gguf, then kith models fetch on the other machines
TEXT
    fi
}

read_arguments() {
    while (($# > 0)); do
        case $1 in
            --stay) stay=yes ;;
            --kith | --question | --model | --while)
                (($# > 1)) || die "$1 needs a value"
                case $1 in
                    --kith) kith=$2 ;;
                    --question) question=$2 ;;
                    --model) model=$2 ;;
                    --while) while_command=$2 ;;
                esac
                shift
                ;;
            *) die "no option '$1'; see the first lines of tools/demo.sh" ;;
        esac
        shift
    done
    [[ -x $kith ]] || die "--kith PATH must name the program; ./dev build makes it"
    [[ -r $model ]] || die "there is no model at $model"
    kith=$(realpath "$kith")
    model=$(realpath --relative-to=. "$model")
}

main() {
    read_arguments "$@"
    local started=$SECONDS
    p2p_ports=()
    trap on_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    folder=$(mktemp -d "${TMPDIR:-/tmp}/kith-demo.XXXXXX")
    # What the caller's environment says about kith must not reach into the demo.
    unset "${!KITH_@}" PROGRESSPALS_INVITE_TOKEN

    prepare_node operator && prepare_node anna && prepare_node ben
    note "An operator creates a private swarm"
    show "kith create demo" node operator create demo
    start_node operator
    note "Two members join, each with an invite of their own"
    join_member anna
    join_member ben
    show "kith peers" node operator peers
    note "A model is cut into shards; no remote member gets the first or the last"
    spread_model
    note "One question, through the OpenAI endpoint of the operator's node"
    printf '  > %s\n' "$question"
    ask
    note "Who saw what, computed from the route the question took"
    node operator route
    printf '\n(%s s from the first command to here)\n' "$((SECONDS - started))"

    if [[ -n $while_command ]]; then
        KITH_DEMO_FOLDER=$folder KITH_DEMO_PORTS=${p2p_ports[*]} bash -c "$while_command"
    fi
    if [[ $stay == yes ]]; then
        closing_words
        trap 'exit 0' INT
        wait -n "${pids[@]}" || true
        die "a node stopped by itself"
    fi
    stop_nodes
    closing_words
}

main "$@"
