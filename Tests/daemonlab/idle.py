"""Measures an idle daemon in a network namespace of its own; see the script beside this file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

DWEB, MINUTES, DRIVES = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
NAMESPACE = f"dwidle{os.getpid()}"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def start(arguments, inside, **options):
    command = (["ip", "netns", "exec", NAMESPACE] if inside else []) + [DWEB] + arguments
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)


def traffic():
    """Packets and bytes of the daemon's end of the link, in both directions."""
    text = subprocess.run(
        ["ip", "netns", "exec", NAMESPACE, "cat", "/proc/net/dev"], capture_output=True, text=True, check=True).stdout
    fields = next(line for line in text.splitlines() if "dw0" in line).split(":")[1].split()
    return {"receivedBytes": int(fields[0]), "receivedPackets": int(fields[1]),
            "sentBytes": int(fields[8]), "sentPackets": int(fields[9])}


def process(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    status = open(f"/proc/{pid}/status").read()
    def field(name):
        return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) * 1024
    return {"cpuSeconds": (int(fields[11]) + int(fields[12])) / TICKS, "residentBytes": field("VmRSS"),
            "privateBytes": field("RssAnon"), "threads": int(fields[17])}


def daemon_call(*arguments):
    done = subprocess.run(
        [DWEB, *arguments, "--daemon", folder + "/d", "--json"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True)
    if done.returncode != 0:
        raise SystemExit(f"{arguments}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line]


folder = tempfile.mkdtemp(prefix="dwidle-", dir="/tmp")
children = []
try:
    ip("netns", "add", NAMESPACE)
    ip("link", "add", NAMESPACE[:12] + "h", "type", "veth", "peer", "name", "dw0", "netns", NAMESPACE)
    ip("addr", "add", "10.199.1.1/24", "dev", NAMESPACE[:12] + "h")
    ip("link", "set", NAMESPACE[:12] + "h", "up")
    ip("-n", NAMESPACE, "addr", "add", "10.199.1.2/24", "dev", "dw0")
    ip("-n", NAMESPACE, "link", "set", "dw0", "up")
    ip("-n", NAMESPACE, "link", "set", "lo", "up")

    net = start(["testnet", "--nodes", "20", "--host", "10.199.1.1", "--port", "41000", "--json"], False,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    children.append(net)
    bootstrap = json.loads(net.stdout.readline())["bootstrap"]
    writer = start(["daemon", "made-up-drives", "--count", str(DRIVES), "--bootstrap", bootstrap, "--host", "10.199.1.1",
                    "--port", "0", "--store", folder + "/w", "--json"], False,
                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    children.append(writer)
    keys = [json.loads(writer.stdout.readline())["key"] for _ in range(DRIVES)]
    with open(folder + "/list", "w") as file:
        file.writelines(f"drive {key}\n" for key in keys)

    daemon = start(["daemon", "start", "--daemon", folder + "/d", "--bootstrap", bootstrap, "--host", "10.199.1.2",
                    "--port", "0", "--no-web", "--log-level", "warning", "--json"], True,
                   stdout=subprocess.PIPE, stderr=open(folder + "/log", "w"))
    children.append(daemon)
    pid = json.loads(daemon.stdout.readline())["processID"]
    daemon_call("seed", folder + "/list", "--require-daemon")
    deadline = time.monotonic() + 300
    while True:
        status = daemon_call("status")[0]
        if status["completeSeeds"] == DRIVES:
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"only {status['completeSeeds']} of {DRIVES} drives became whole")
        time.sleep(1)
    # The writer goes: what is measured is a daemon that holds what nobody reads, announced and looked up.
    writer.send_signal(signal.SIGTERM)
    writer.wait()
    time.sleep(30)

    began, first, link = time.monotonic(), process(pid), traffic()
    samples = []
    while time.monotonic() - began < MINUTES * 60:
        time.sleep(min(30, MINUTES * 60 - (time.monotonic() - began) + 0.01))
        samples.append(process(pid)["residentBytes"])
        if sys.stderr.isatty():
            print(f"{(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    seconds, last, after = time.monotonic() - began, process(pid), traffic()
    moved = {name: after[name] - link[name] for name in link}
    half = samples[len(samples) // 2:]
    print(json.dumps({
        "drives": DRIVES, "minutes": round(seconds / 60, 1),
        "cpuPercent": round(100 * (last["cpuSeconds"] - first["cpuSeconds"]) / seconds, 3),
        "residentMiBFirst": round(first["residentBytes"] / 2**20, 1),
        "residentMiBLast": round(last["residentBytes"] / 2**20, 1),
        "residentMiBMax": round(max(samples) / 2**20, 1),
        "privateMiBLast": round(last["privateBytes"] / 2**20, 1),
        "growthOfLaterHalfPercent": round(100 * (half[-1] - half[0]) / half[0], 2),
        "sentBytesPerMinute": round(60 * moved["sentBytes"] / seconds),
        "receivedBytesPerMinute": round(60 * moved["receivedBytes"] / seconds),
        "packetsPerMinute": round(60 * (moved["sentPackets"] + moved["receivedPackets"]) / seconds),
        "threads": last["threads"], "openLogs": daemon_call("status")[0]["openLogs"]}))
finally:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        child.wait()
    subprocess.run(["ip", "netns", "del", NAMESPACE], stderr=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)
