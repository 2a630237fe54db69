# Network namespaces for the scripts beside this file; source it. Everything it makes is named after this process and goes
# away with it, whatever happens.

lab_name=dwlab$$
lab_folder=$(mktemp -d)
lab_namespaces=()
lab_children=()

lab_skip() {
    echo "skipped: $1"
    exit 0
}

lab_clean() {
    trap - EXIT INT TERM
    for child in "${lab_children[@]}"; do kill "$child" 2>/dev/null; done
    for child in "${lab_children[@]}"; do wait "$child" 2>/dev/null; done
    for namespace in "${lab_namespaces[@]}"; do ip netns del "$namespace" 2>/dev/null; done
    rm -rf "$lab_folder"
}

# Skips, with one line that says why, where this machine has no network namespaces.
lab_require_namespaces() {
    [ "$(uname)" = Linux ] || lab_skip "network namespaces are a thing of Linux"
    [ "$(id -u)" = 0 ] || lab_skip "making network namespaces takes root"
    command -v ip >/dev/null || lab_skip "the program ip (iproute2) is missing"
    ip netns add "$lab_name-probe" 2>/dev/null || lab_skip "this kernel or container forbids network namespaces"
    ip netns del "$lab_name-probe"
    trap lab_clean EXIT
    trap 'lab_clean; exit 130' INT TERM
}

# Skips where wires with faults cannot be made.
lab_require() {
    [ -c /dev/net/tun ] || lab_skip "this kernel has no /dev/net/tun"
    command -v swiftc >/dev/null || lab_skip "the program swiftc is missing"
    lab_require_namespaces
    local here
    here=$(dirname "${BASH_SOURCE[0]}")
    swiftc -O "$here/wire.swift" -o "$lab_folder/wire"
}

# lab_namespace LETTER: makes a namespace.
lab_namespace() {
    ip netns add "$lab_name-$1"
    lab_namespaces+=("$lab_name-$1")
    ip -n "$lab_name-$1" link set lo up
}

lab_in() {
    local namespace=$lab_name-$1
    shift
    ip netns exec "$namespace" "$@"
}

# lab_wire A B NET SETTING...: joins two namespaces by a wire, with the addresses 10.NET.0.1 and 10.NET.0.2, fdNET::1 and
# fdNET::2. Settings can be changed later: echo loss=5 >&"$lab_wire_input".
lab_wire() {
    local first=$1 second=$2 net=$3 side=0 namespace
    shift 3
    rm -f "$lab_folder/input" "$lab_folder/up"
    mkfifo "$lab_folder/input"
    "$lab_folder/wire" "dw$$a" "dw$$b" "$@" <"$lab_folder/input" >"$lab_folder/up" 2>"$lab_folder/wire.log" &
    lab_wire_process=$!
    lab_children+=("$lab_wire_process")
    exec {lab_wire_input}>"$lab_folder/input"
    for _ in $(seq 50); do
        grep -q up "$lab_folder/up" 2>/dev/null && break
        kill -0 "$lab_wire_process" 2>/dev/null || lab_skip "TUN devices cannot be made: $(cat "$lab_folder/wire.log")"
        sleep 0.1
    done
    for namespace in "$first" "$second"; do
        side=$((side + 1))
        local device=dw$$a
        [ $side = 2 ] && device=dw$$b
        ip link set "$device" netns "$lab_name-$namespace" name "wire$net"
        ip -n "$lab_name-$namespace" addr add "10.$net.0.$side/24" dev "wire$net"
        ip -n "$lab_name-$namespace" -6 addr add "fd$net::$side/64" dev "wire$net" nodad 2>/dev/null
        ip -n "$lab_name-$namespace" link set "wire$net" mtu 1500 txqueuelen 10000 up
    done
}

# lab_cable A B: joins two namespaces by a cable without faults, as cableB in A and cableA in B.
lab_cable() {
    ip link add "dwc$$" netns "$lab_name-$1" type veth peer name "dwd$$" netns "$lab_name-$2" 2>/dev/null ||
        lab_skip "this kernel cannot join namespaces (veth)"
    ip -n "$lab_name-$1" link set "dwc$$" name "cable$2"
    ip -n "$lab_name-$2" link set "dwd$$" name "cable$1"
    ip -n "$lab_name-$1" link set "cable$2" up
    ip -n "$lab_name-$2" link set "cable$1" up
}

# lab_start FILE NAMESPACE COMMAND...: runs a program in the background, its standard output in FILE; $! is the program.
lab_start() {
    local file=$1 namespace=$lab_name-$2
    shift 2
    ip netns exec "$namespace" "$@" >"$lab_folder/$file" 2>"$lab_folder/$file.log" &
    lab_children+=("$!")
}

# lab_stop PROCESS: ends a program that lab_start began.
lab_stop() { kill "$1" 2>/dev/null; wait "$1" 2>/dev/null; }

# lab_line FILE SECONDS: the first line of a program's standard output; fails if there is none in time.
lab_line() {
    for _ in $(seq $(($2 * 10))); do
        [ -s "$lab_folder/$1" ] && head -1 "$lab_folder/$1" && return
        sleep 0.1
    done
    return 1
}

lab_wire_end() {
    exec {lab_wire_input}>&-
    wait "$lab_wire_process" 2>/dev/null
    cat "$lab_folder/wire.log"
}
