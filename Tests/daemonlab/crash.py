"""Kills a daemon at random moments under load; see the script beside this file."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

DWEB, ROUNDS = sys.argv[1], int(sys.argv[2])
ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
RANDOM = random.Random(SEED)
WRITERS = 4


def start(arguments, **options):
    return subprocess.Popen([DWEB] + arguments, stdin=subprocess.DEVNULL, **options)


def call(arguments, timeout=40):
    """Runs a command against the daemon; its output if it succeeded, else None."""
    try:
        done = subprocess.run(
            [DWEB] + arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def lines(text):
    return [json.loads(line) for line in (text or "").splitlines() if line]


class Lab:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="dwlab-", dir="/tmp")
        self.daemon_folder = self.folder + "/d"
        self.processes = []
        self.daemon = None
        # What was acknowledged: a call that returned success.
        self.seeds = {}
        self.topics = {}
        # What was asked for and not acknowledged: may be there or not.
        self.unsure_seeds = set()
        self.unsure_topics = set()
        self.limit = None
        # Of two clients that set it at once, nobody knows whose value stays.
        self.limit_lock = threading.Lock()
        self.kills = 0
        self.starts = []
        self.acknowledged = 0
        self.lost = []

    # The surroundings

    def open(self):
        net = start(["testnet", "--nodes", "5", "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(net)
        self.bootstrap = json.loads(net.stdout.readline())["bootstrap"]
        self.writers = []
        for number in range(WRITERS):
            store = f"{self.folder}/w{number}"
            path = f"{self.folder}/source{number}"
            with open(path, "wb") as file:
                file.write(os.urandom(2_000_000))
            writer = start(
                ["log", "publish", path, "--store", store, "--bootstrap", self.bootstrap, "--port", "0", "--json"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.processes.append(writer)
            published = json.loads(writer.stdout.readline())
            self.writers.append((published["key"], published["byteLength"]))

    def close(self):
        for process in self.processes + ([self.daemon] if self.daemon else []):
            if process.poll() is None:
                process.terminate()
        for process in self.processes + ([self.daemon] if self.daemon else []):
            process.wait()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # The daemon

    def start_daemon(self):
        begun = time.monotonic()
        self.log = open(self.folder + "/daemon.log", "a")
        self.daemon = start(
            ["daemon", "start", "--daemon", self.daemon_folder, "--bootstrap", self.bootstrap, "--port", "0", "--no-web",
             "--log-level", "warning", "--json"], stdout=subprocess.PIPE, stderr=self.log)
        if not self.daemon.stdout.readline():
            with open(self.folder + "/daemon.log") as log:
                last = log.read()[-2000:]
            raise SystemExit(f"after {self.kills} kills the daemon did not start: {last}")
        self.starts.append(time.monotonic() - begun)

    def kill_daemon(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.kills += 1
        state = lines(subprocess.run(
            [DWEB, "status", "--daemon", self.daemon_folder, "--json"], capture_output=True, text=True).stdout)
        if state[0]["state"] != "stale lock":
            self.lost.append(f"after kill {self.kills} the state is said to be {state[0]['state']}")

    def at(self, *arguments):
        return call(list(arguments) + ["--daemon", self.daemon_folder])

    # The load

    def change(self, generator):
        """One change of configuration, and what is known of it afterwards."""
        kind = generator.random()
        if kind < 0.45:
            key = "".join(generator.choice(ALPHABET) for _ in range(51)) + generator.choice("yo")
            note = f"n{generator.randrange(1 << 30)}"
            if self.at("seed", key, "--kind", "log", "--note", note, "--require-daemon", "--quiet") is not None:
                self.seeds[key] = note
                self.unsure_seeds.discard(key)
                return True
            self.unsure_seeds.add(key)
        elif kind < 0.6 and len(self.seeds) > WRITERS:
            key = generator.choice([key for key in self.seeds if key not in dict(self.writers)])
            if self.at("unseed", key, "--quiet") is not None:
                # Both clients may have chosen the same.
                self.seeds.pop(key, None)
                return True
            self.unsure_seeds.add(key)
        elif kind < 0.9:
            topic = f"{generator.getrandbits(256):064x}"
            setting = generator.choice([["--announce"], ["--lookup"], ["--announce", "--lookup"]])
            if self.at("daemon", "topics", topic, *setting, "--quiet") is not None:
                self.topics[topic] = ("--announce" in setting, "--lookup" in setting)
                self.unsure_topics.discard(topic)
                return True
            self.unsure_topics.add(topic)
        else:
            limit = generator.randrange(10 ** 9, 10 ** 10)
            with self.limit_lock:
                is_set = self.at("limits", "--storage", str(limit), "--quiet") is not None
                self.limit = limit if is_set else None
            return is_set
        return False

    def load(self, stop):
        generator = random.Random(RANDOM.randrange(1 << 30))
        while not stop.is_set():
            if self.change(generator):
                self.acknowledged += 1
            # Entries and lookups would grow without end; a daemon with hundreds of topics is another test.
            if len(self.topics) + len(self.seeds) > 60:
                return

    # The check

    def check(self):
        present = {seed["key"]: seed for seed in lines(self.at("seed", "--json"))}
        for key, note in self.seeds.items():
            if key in self.unsure_seeds:
                continue
            if key not in present:
                self.lost.append(f"kill {self.kills}: the seed {key} is gone")
            elif present[key]["note"] != note:
                self.lost.append(f"kill {self.kills}: the note of {key} is {present[key]['note']}, not {note}")
        for key in present:
            if key not in self.seeds and key not in self.unsure_seeds:
                self.lost.append(f"kill {self.kills}: the seed {key} was removed and is back")
        deadline = time.monotonic() + 30
        while True:
            topics = {topic["discoveryKey"]: topic for topic in lines(self.at("daemon", "topics", "--json"))}
            waiting = [key for key in self.topics if not topics.get(key, {}).get("isJoined")]
            if not waiting or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        for key, (announce, lookup) in self.topics.items():
            topic = topics.get(key)
            if topic is None:
                self.lost.append(f"kill {self.kills}: the topic {key} is gone")
            elif (topic["announce"], topic["lookup"]) != (announce, lookup):
                self.lost.append(f"kill {self.kills}: the topic {key} has another setting")
            elif not topic["isJoined"]:
                self.lost.append(f"kill {self.kills}: the topic {key} was not joined again within 30 s")
        if self.limit is not None:
            limits = {line["limit"]: line for line in lines(self.at("limits", "--json"))}
            if limits.get("storage", {}).get("allowed") != self.limit:
                self.lost.append(f"kill {self.kills}: the limit is lost")
        # What nobody knows is settled by what is there now.
        for key in list(self.unsure_seeds):
            if key in present:
                self.seeds[key] = present[key]["note"]
            else:
                self.seeds.pop(key, None)
        self.unsure_seeds.clear()
        for key in list(self.unsure_topics):
            if key in topics:
                self.topics[key] = (topics[key]["announce"], topics[key]["lookup"])
        self.unsure_topics.clear()
        if self.limit is None:
            limits = {line["limit"]: line for line in lines(self.at("limits", "--json"))}
            self.limit = limits.get("storage", {}).get("allowed")

    def forget_some(self):
        """Keeps the number of entries in bounds, by calls that are acknowledged like all others."""
        real = dict(self.writers)
        for key in [key for key in self.seeds if key not in real][15:]:
            if self.at("unseed", key, "--quiet") is not None:
                # Both clients may have chosen the same.
                self.seeds.pop(key, None)
        for key in list(self.topics)[20:]:
            if self.at("daemon", "topics", key, "--quiet") is not None:
                del self.topics[key]

    def run(self):
        self.open()
        self.start_daemon()
        for key, _ in self.writers[:1]:
            self.at("seed", key, "--require-daemon", "--quiet")
            self.seeds[key] = ""
        for number in range(ROUNDS):
            # A writer more from time to time: its blocks arrive while the daemon is killed.
            if number and number % max(1, ROUNDS // WRITERS) == 0:
                index = min(WRITERS - 1, number // max(1, ROUNDS // WRITERS))
                key = self.writers[index][0]
                if key not in self.seeds and self.at("seed", key, "--require-daemon", "--quiet") is not None:
                    self.seeds[key] = ""
            stop = threading.Event()
            workers = [threading.Thread(target=self.load, args=(stop,)) for _ in range(2)]
            for worker in workers:
                worker.start()
            time.sleep(RANDOM.uniform(0.05, 1.5))
            self.kill_daemon()
            stop.set()
            for worker in workers:
                worker.join()
            self.start_daemon()
            self.check()
            self.forget_some()
            if self.lost:
                break
            if sys.stderr.isatty() or number % 10 == 9:
                print(f"{self.kills} kills, {self.acknowledged} changes acknowledged", file=sys.stderr)
        deadline = time.monotonic() + 60
        wanted = {key for key, _ in self.writers if key in self.seeds}
        while time.monotonic() < deadline:
            present = {seed["key"]: seed for seed in lines(self.at("seed", "--json"))}
            missing = [key for key in wanted if present[key]["state"] != "complete"]
            if not missing:
                break
            time.sleep(0.2)
        for key in missing:
            self.lost.append(f"the content of {key} did not become whole")
        starts = sorted(self.starts)
        print(json.dumps({
            "kills": self.kills, "acknowledgedChanges": self.acknowledged, "seeds": len(self.seeds),
            "topics": len(self.topics), "wholeLogs": len(wanted) - len(missing), "lost": self.lost,
            "startSecondsMedian": round(starts[len(starts) // 2], 2), "startSecondsMax": round(starts[-1], 2),
            "randomSeed": SEED}))


lab = Lab()
try:
    lab.run()
finally:
    lab.close()
sys.exit(1 if lab.lost else 0)
