package import DWebBase
package import DWebCrypto

/// A node of the routing table with what its upkeep needs.
package struct TableNode: Equatable, Sendable {
    /// The hash of ``address``.
    package let id: Bytes32
    /// Where it is reached.
    package let address: SocketAddress
    /// The tick of the last time its view of our address was taken; 0 for never.
    package var sampledTick: Int
    /// The tick at which it entered.
    package var addedTick: Int
    /// The tick of the last time we dealt with it or asked it.
    package var pingedTick: Int
    /// The tick of the last time we heard from it.
    package var seenTick: Int
    /// How often others said it is down.
    package var downHintCount: Int

    /// A node that enters at `tick`.
    package init(id: Bytes32, address: SocketAddress, tick: Int) {
        self.id = id
        self.address = address
        sampledTick = 0
        addedTick = tick
        pingedTick = tick
        seenTick = tick
        downHintCount = 0
    }
}

/// The nodes that a node knows: by distance in 256 rows, and by the time they were last heard; spec 20 section 4.
///
/// Rows take memory only once they hold a node.
package struct RoutingTable: Sendable {
    private static let none: Int32 = -1
    private static let lastRow = 255

    private struct Slot: Sendable {
        var node: TableNode
        var older: Int32
        var newer: Int32
    }

    private struct Row: Sendable {
        let index: Int
        var slots: [Int32]
    }

    /// The id from which distances are measured.
    package let id: Bytes32
    /// The number of nodes.
    package private(set) var count = 0
    private var rows: [Row] = []
    private var slots: [Slot] = []
    private var freeSlots: [Int32] = []
    private var oldestSlot = none
    private var latestSlot = none

    /// An empty table around `id`.
    package init(id: Bytes32) { self.id = id }

    /// The row for `other`: the number of leading bits it shares with ``id``, at most 255.
    package func rowIndex(of other: Bytes32) -> Int {
        min(id.commonPrefixBitCount(with: other), RoutingTable.lastRow)
    }

    /// The node with `id`, or nil.
    package func node(_ id: Bytes32) -> TableNode? {
        slot(of: id).map { slots[Int($0)].node }
    }

    /// Whether a node with `id` is in the table.
    package func contains(_ id: Bytes32) -> Bool { slot(of: id) != nil }

    /// Adds `node` as the one heard last. False if its row is full, it is there already, or it is this node itself.
    package mutating func insert(_ node: TableNode) -> Bool {
        guard node.id != id else { return false }
        let index = rowIndex(of: node.id)
        let place = rowPlace(index)
        if place == rows.count || rows[place].index != index {
            rows.insert(Row(index: index, slots: []), at: place)
        }
        guard rows[place].slots.count < RPCConstants.k else { return false }
        let position = self.position(of: node.id, in: rows[place].slots)
        if position < rows[place].slots.count, slots[Int(rows[place].slots[position])].node.id == node.id {
            return false
        }
        let slot: Int32
        if let free = freeSlots.popLast() {
            slot = free
            slots[Int(slot)].node = node
        } else {
            slot = Int32(slots.count)
            // In steps: an array that doubles would stay half empty in most nodes.
            if slots.count == slots.capacity { slots.reserveCapacity(slots.count + RPCConstants.k) }
            slots.append(Slot(node: node, older: RoutingTable.none, newer: RoutingTable.none))
        }
        rows[place].slots.insert(slot, at: position)
        linkLatest(slot)
        count += 1
        return true
    }

    /// Removes the node with `id`; false if there is none.
    @discardableResult
    package mutating func remove(_ id: Bytes32) -> Bool {
        let index = rowIndex(of: id)
        let place = rowPlace(index)
        guard place < rows.count, rows[place].index == index else { return false }
        let position = self.position(of: id, in: rows[place].slots)
        guard position < rows[place].slots.count else { return false }
        let slot = rows[place].slots[position]
        guard slots[Int(slot)].node.id == id else { return false }
        rows[place].slots.remove(at: position)
        if rows[place].slots.isEmpty { rows.remove(at: place) }
        unlink(slot)
        freeSlots.append(slot)
        count -= 1
        return true
    }

    /// Changes the record of the node with `id` in place; does nothing if there is none.
    package mutating func update(_ id: Bytes32, _ body: (inout TableNode) -> Void) {
        guard let slot = slot(of: id) else { return }
        body(&slots[Int(slot)].node)
    }

    /// Forgets which nodes' views of our address were taken.
    package mutating func forgetSamples() {
        for index in slots.indices { slots[index].node.sampledTick = 0 }
    }

    /// Makes the node with `id` the one heard last.
    package mutating func moveToLatest(_ id: Bytes32) {
        guard let slot = slot(of: id), slot != latestSlot else { return }
        unlink(slot)
        linkLatest(slot)
    }

    /// The nodes of the row that `other` belongs to, by id.
    package func rowNodes(for other: Bytes32) -> [TableNode] {
        let index = rowIndex(of: other)
        let place = rowPlace(index)
        guard place < rows.count, rows[place].index == index else { return [] }
        return rows[place].slots.map { slots[Int($0)].node }
    }

    /// Up to `limit` nodes close to `target`: whole rows, the target's own first, then those farther from this node's
    /// id, then those nearer. They are not sorted by distance.
    package func closest(to target: Bytes32, limit: Int = RPCConstants.k) -> [TableNode] {
        var result: [TableNode] = []
        result.reserveCapacity(min(limit, count))
        forEachClosest(to: target, limit: limit) { result.append($0) }
        return result
    }

    /// The addresses of ``closest(to:limit:)``.
    package func closestAddresses(to target: Bytes32, limit: Int = RPCConstants.k) -> [SocketAddress] {
        var result: [SocketAddress] = []
        result.reserveCapacity(min(limit, count))
        forEachClosest(to: target, limit: limit) { result.append($0.address) }
        return result
    }

    /// A random node, each with the same chance; nil if there is none.
    package func randomNode(_ random: inout SecureRandom) -> TableNode? {
        guard count > 0 else { return nil }
        var offset = Int.random(in: 0..<count, using: &random)
        for row in rows {
            if offset < row.slots.count { return slots[Int(row.slots[offset])].node }
            offset -= row.slots.count
        }
        return nil
    }

    /// The node heard longest ago.
    package var oldest: TableNode? {
        oldestSlot == RoutingTable.none ? nil : slots[Int(oldestSlot)].node
    }

    /// Up to `limit` nodes, heard longest ago first.
    package func oldestNodes(limit: Int) -> [TableNode] {
        var result: [TableNode] = []
        var slot = oldestSlot
        while slot != RoutingTable.none, result.count < limit {
            result.append(slots[Int(slot)].node)
            slot = slots[Int(slot)].newer
        }
        return result
    }

    /// Up to `limit` nodes, heard most recently first.
    package func latestNodes(limit: Int) -> [TableNode] {
        var result: [TableNode] = []
        var slot = latestSlot
        while slot != RoutingTable.none, result.count < limit {
            result.append(slots[Int(slot)].node)
            slot = slots[Int(slot)].older
        }
        return result
    }

    /// The same nodes in the same order of time around another id; nodes that find their row full are left out.
    package func rebuilt(around newID: Bytes32) -> RoutingTable {
        var table = RoutingTable(id: newID)
        for row in rows {
            for slot in row.slots { _ = table.insert(slots[Int(slot)].node) }
        }
        var slot = oldestSlot
        while slot != RoutingTable.none {
            table.moveToLatest(slots[Int(slot)].node.id)
            slot = slots[Int(slot)].newer
        }
        return table
    }

    // MARK: Inside

    private func forEachClosest(to target: Bytes32, limit: Int, _ body: (TableNode) -> Void) {
        let index = rowIndex(of: target)
        let place = rowPlace(index)
        let hasOwnRow = place < rows.count && rows[place].index == index
        var remaining = limit
        func visit(_ row: Row) {
            for slot in row.slots.prefix(remaining) { body(slots[Int(slot)].node) }
            remaining -= min(remaining, row.slots.count)
        }
        var downwards = hasOwnRow ? place : place - 1
        while downwards >= 0, remaining > 0 {
            visit(rows[downwards])
            downwards -= 1
        }
        var upwards = hasOwnRow ? place + 1 : place
        while upwards < rows.count, remaining > 0 {
            visit(rows[upwards])
            upwards += 1
        }
    }

    private func rowPlace(_ index: Int) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].index < index { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func position(of id: Bytes32, in row: [Int32]) -> Int {
        var low = 0
        var high = row.count
        while low < high {
            let middle = (low + high) / 2
            if slots[Int(row[middle])].node.id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func slot(of id: Bytes32) -> Int32? {
        let index = rowIndex(of: id)
        let place = rowPlace(index)
        guard place < rows.count, rows[place].index == index else { return nil }
        let row = rows[place].slots
        let position = self.position(of: id, in: row)
        guard position < row.count, slots[Int(row[position])].node.id == id else { return nil }
        return row[position]
    }

    private mutating func linkLatest(_ slot: Int32) {
        slots[Int(slot)].older = latestSlot
        slots[Int(slot)].newer = RoutingTable.none
        if latestSlot != RoutingTable.none { slots[Int(latestSlot)].newer = slot }
        latestSlot = slot
        if oldestSlot == RoutingTable.none { oldestSlot = slot }
    }

    private mutating func unlink(_ slot: Int32) {
        let (older, newer) = (slots[Int(slot)].older, slots[Int(slot)].newer)
        if older == RoutingTable.none { oldestSlot = newer } else { slots[Int(older)].newer = newer }
        if newer == RoutingTable.none { latestSlot = older } else { slots[Int(newer)].older = older }
    }
}
