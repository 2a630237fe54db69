// A bad wire between two TUN devices, for kernels without netem. Compiled by the scripts beside it:
//
//     swiftc -O wire.swift -o wire
//     ./wire lineA lineB delay=20 loss=0.1 rate=100 queue=100
//
// Makes the devices, prints "up" and carries IP packets both ways until its standard input ends. Each direction has its
// own delay line, queue and dice. Lines on standard input change settings while it runs, for example "loss=5".

import Glibc

struct Settings {
    /// One way, in milliseconds.
    var delay = 0.0
    /// At most so much is added to the delay; order is kept.
    var jitter = 0.0
    /// Of 100 packets, so many are lost, held back, or come twice.
    var loss = 0.0
    var reorder = 0.0
    var duplicate = 0.0
    /// How long packets are held back that others are to overtake, in milliseconds.
    var hold = 10.0
    /// Mbit/s; 0 is unlimited.
    var rate = 0.0
    /// What may wait in front of the rate limit, in milliseconds.
    var queue = 200.0
    /// Packets that waited longer than this are marked for congestion if they may be; 0 never.
    var mark = 0.0
    /// Larger packets are lost.
    var mtu = 65_535.0
    var seed = 1.0

    private static let fields: [String: WritableKeyPath<Settings, Double>] = [
        "delay": \.delay, "jitter": \.jitter, "loss": \.loss, "reorder": \.reorder, "hold": \.hold,
        "duplicate": \.duplicate,
        "rate": \.rate, "queue": \.queue, "mark": \.mark, "mtu": \.mtu, "seed": \.seed,
    ]

    mutating func apply(_ text: some StringProtocol) {
        let parts = text.split(separator: "=")
        guard parts.count == 2, let field = Settings.fields[String(parts[0])], let value = Double(parts[1]) else {
            fputs("wire: '\(text)' is no setting\n", stderr)
            exit(64)
        }
        self[keyPath: field] = value
    }
}

struct Dice {
    var state: UInt64

    /// True in `percent` of 100 cases.
    mutating func falls(_ percent: Double) -> Bool { percent > 0 && share() * 100 < percent }

    mutating func share() -> Double {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Double(state >> 11) / Double(1 << 53)
    }
}

func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// One direction: packets on their way in slots of memory, ordered by when they are due.
struct Direction {
    private static let slotByteCount = 2_048
    private static let packetsPerTurn = 64

    private struct Entry {
        var due: Int64
        var order: UInt64
        var slot: Int32
        var count: Int32

        func precedes(_ other: Entry) -> Bool { due != other.due ? due < other.due : order < other.order }
    }

    let input: Int32
    let output: Int32
    private var dice: Dice
    private var heap: [Entry] = []
    private var freeSlots: [Int32] = []
    private var memory: [UnsafeMutableRawPointer] = []
    private var order: UInt64 = 0
    private var linkFree: Int64 = 0
    private var lastDue: Int64 = 0
    private(set) var carried = 0
    private(set) var lost = 0
    private(set) var overflown = 0

    init(input: Int32, output: Int32, seed: UInt64) {
        self.input = input
        self.output = output
        dice = Dice(state: seed &* 0x9e37_79b9_7f4a_7c15 | 1)
    }

    /// When the next packet is due; nil if none is on its way.
    var nextDue: Int64? { heap.first?.due }

    /// Takes in what waits; false if there was nothing.
    mutating func receive(_ settings: Settings) -> Bool {
        for round in 0..<Direction.packetsPerTurn {
            let slot = takeSlot()
            let count = read(input, memory[Int(slot)], Direction.slotByteCount)
            guard count > 0 else {
                freeSlots.append(slot)
                return round > 0
            }
            schedule(slot, count, settings)
        }
        return true
    }

    private mutating func schedule(_ slot: Int32, _ count: Int, _ settings: Settings) {
        guard !dice.falls(settings.loss), count <= Int(settings.mtu) else {
            lost += 1
            freeSlots.append(slot)
            return
        }
        let time = now()
        var departure = time
        if settings.rate > 0 {
            let free = max(time, linkFree)
            guard Double(free - time) <= settings.queue * 1e6 else {
                overflown += 1
                freeSlots.append(slot)
                return
            }
            if settings.mark > 0, Double(free - time) > settings.mark * 1e6 { mark(memory[Int(slot)], count) }
            departure = free + Int64(Double(count) * 8_000 / settings.rate)
            linkFree = departure
        }
        var due = departure + Int64((settings.delay + settings.jitter * dice.share()) * 1e6)
        if dice.falls(settings.reorder) {
            due += Int64(settings.hold * 1e6)
        } else {
            due = max(due, lastDue)
            lastDue = due
        }
        push(slot, count, due)
        if dice.falls(settings.duplicate) {
            let copy = takeSlot()
            memory[Int(copy)].copyMemory(from: memory[Int(slot)], byteCount: count)
            push(copy, count, due)
        }
    }

    /// Sets both congestion bits where the packet has one of them.
    private func mark(_ packet: UnsafeMutableRawPointer, _ count: Int) {
        let bytes = packet.assumingMemoryBound(to: UInt8.self)
        if bytes[0] >> 4 == 6 {
            if bytes[1] & 0x30 != 0 { bytes[1] |= 0x30 }
            return
        }
        guard bytes[0] >> 4 == 4, count >= 20, bytes[1] & 3 != 0, bytes[1] & 3 != 3 else { return }
        bytes[1] |= 3
        bytes[10] = 0
        bytes[11] = 0
        var sum: UInt32 = 0
        for index in stride(from: 0, to: Int(bytes[0] & 15) * 4, by: 2) {
            sum += UInt32(bytes[index]) << 8 | UInt32(bytes[index + 1])
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        bytes[10] = UInt8(truncatingIfNeeded: ~sum >> 8)
        bytes[11] = UInt8(truncatingIfNeeded: ~sum)
    }

    private mutating func takeSlot() -> Int32 {
        if let slot = freeSlots.popLast() { return slot }
        memory.append(.allocate(byteCount: Direction.slotByteCount, alignment: 16))
        return Int32(memory.count - 1)
    }

    /// Sends on what is due.
    mutating func deliver() {
        guard !heap.isEmpty else { return }
        let time = now()
        while let first = heap.first, first.due <= time {
            _ = write(output, memory[Int(first.slot)], Int(first.count))
            carried += 1
            freeSlots.append(first.slot)
            pop()
        }
    }

    private mutating func push(_ slot: Int32, _ count: Int, _ due: Int64) {
        order += 1
        heap.append(Entry(due: due, order: order, slot: slot, count: Int32(count)))
        var index = heap.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index].precedes(heap[parent]) else { break }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func pop() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var index = 0
        while true {
            var child = index * 2 + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(heap[index]) else { return }
            heap.swapAt(index, child)
            index = child
        }
    }
}

func makeDevice(_ name: String) -> Int32 {
    let device = open("/dev/net/tun", O_RDWR | O_NONBLOCK)
    // struct ifreq: 16 bytes of name, then the flags IFF_TUN and IFF_NO_PI.
    var request = [UInt8](repeating: 0, count: 40)
    request.replaceSubrange(0..<min(15, name.utf8.count), with: name.utf8.prefix(15))
    request[16] = 0x01
    request[17] = 0x10
    let tunSetInterfaceRequest: UInt = 0x4004_54ca
    let isMade =
        device >= 0
        && request.withUnsafeMutableBytes { ioctl(device, tunSetInterfaceRequest, $0.baseAddress!) } == 0
    guard isMade else {
        fputs("wire: the device \(name) cannot be made\n", stderr)
        exit(1)
    }
    return device
}

guard CommandLine.arguments.count >= 3 else {
    fputs("usage: wire DEVICE DEVICE [setting=value ...]\n", stderr)
    exit(64)
}
var settings = Settings()
for text in CommandLine.arguments.dropFirst(3) { settings.apply(text) }
let devices = (makeDevice(CommandLine.arguments[1]), makeDevice(CommandLine.arguments[2]))
let seed = UInt64(settings.seed)
var forth = Direction(input: devices.0, output: devices.1, seed: seed)
var back = Direction(input: devices.1, output: devices.0, seed: seed + 1)
_ = fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK)
print("up")
fflush(stdout)

var pending = ""
running: while true {
    forth.deliver()
    back.deliver()
    var wait: Int64 = 1_000_000_000
    for due in [forth.nextDue, back.nextDue] { if let due { wait = min(wait, max(0, due - now())) } }
    // Descriptors of a program that has opened only three are below 64: the first word of the set.
    let bits = [devices.0, devices.1, STDIN_FILENO].map { Int(1) << Int($0) }
    var ready = fd_set()
    ready.__fds_bits.0 = bits.reduce(0, |)
    var timeout = timeval(tv_sec: Int(wait / 1_000_000_000), tv_usec: Int(wait % 1_000_000_000) / 1_000)
    guard select(max(devices.0, devices.1) + 1, &ready, nil, nil, &timeout) > 0 else { continue }
    if ready.__fds_bits.0 & bits[0] != 0 { _ = forth.receive(settings) }
    if ready.__fds_bits.0 & bits[1] != 0 { _ = back.receive(settings) }
    guard ready.__fds_bits.0 & bits[2] != 0 else { continue }
    var buffer = [UInt8](repeating: 0, count: 1_024)
    let count = read(STDIN_FILENO, &buffer, buffer.count)
    if count == 0 { break running }
    guard count > 0 else { continue }
    pending += String(decoding: buffer[..<count], as: UTF8.self)
    while let newline = pending.firstIndex(of: "\n") {
        for word in pending[..<newline].split(separator: " ") { settings.apply(word) }
        pending.removeSubrange(...newline)
    }
}
for (name, direction) in [("forth", forth), ("back", back)] {
    fputs(
        "wire \(name): \(direction.carried) carried, \(direction.lost) lost, \(direction.overflown) overflown\n", stderr
    )
}
