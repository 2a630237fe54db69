#if Daemon
    import DWeb
    import DWebDaemonKit

    /// The dashboard as HTML. The page and every later state of its sections are made by the same code; the browser only
    /// puts them in place.
    struct Dashboard: Sendable {
        let status: DaemonStatus
        let seeds: [SeedStatus]
        let peers: [DaemonPeer]
        let topics: [TopicStatus]
        let history: [TrafficHistory.Sample]
        let version: String
        let startedMilliseconds: UInt64
        let nowMilliseconds: UInt64

        // Rows of a table; more would only slow the browser down.
        private static let rowLimit = 200

        /// Asks a daemon for everything that the page shows.
        init(_ daemon: Daemon, version: String, nowMilliseconds: UInt64) async {
            status = await daemon.status()
            seeds = await daemon.seedStatuses()
            peers = await daemon.peers()
            topics = await daemon.topics()
            history = await daemon.trafficHistory.samples
            self.version = version
            startedMilliseconds = daemon.startedMilliseconds
            self.nowMilliseconds = nowMilliseconds
        }

        /// The sections by the names of their elements, in the order of the page.
        var sections: [(name: String, html: String)] {
            [
                ("head", head), ("cards", cards), ("health", health), ("seeds", seedsPanel), ("peers", peersPanel),
                ("topics", topicsPanel), ("network", networkPanel),
            ]
        }

        /// The whole page.
        var page: String {
            let parts = Dictionary(uniqueKeysWithValues: sections.map { ($0.name, $0.html) })
            func section(_ name: String, _ element: String = "div", _ classes: String = "") -> String {
                "<\(element) id=\"\(name)\"\(classes.isEmpty ? "" : " class=\"\(classes)\"")>\(parts[name] ?? "")</\(element)>"
            }
            return """
                <!doctype html>
                <html lang="en">
                <head>
                <meta charset="utf-8">
                <meta name="viewport" content="width=device-width, initial-scale=1">
                <title>dDrive daemon</title>
                <link rel="stylesheet" href="/style.css">
                <link rel="icon" href="/icon.svg" type="image/svg+xml">
                <script src="/script.js" defer></script>
                </head>
                <body>
                <header>\(section("head", "div", "bar"))</header>
                <div class="notice" id="connection" hidden><p>The daemon does not answer. What you see is its last known \
                state.</p></div>
                <main>
                \(section("cards", "section", "cards"))
                \(section("health"))
                \(section("seeds"))
                \(section("peers"))
                <div class="columns">
                \(section("topics"))
                \(section("network"))
                </div>
                </main>
                </body>
                </html>

                """
        }

        // MARK: Sections

        private var head: String {
            let (text, look) =
                switch status.health {
                case .healthy: ("Healthy", "good")
                case .degraded: ("Needs attention", "warn")
                case .readOnly: ("Read-only", "bad")
                }
            return """
                <h1>dDrive daemon</h1><span class="pill \(look)">\(text)</span>\
                <div class="facts"><span>Version \(HTMLText.escaped(version))</span>\
                <span>Up \(span(milliseconds: nowMilliseconds - min(nowMilliseconds, startedMilliseconds)))</span></div>
                """
        }

        private var cards: String {
            let limit = status.limits.storageByteCount
            let free = status.freeByteCount.map { "\(ByteCountText.text($0)) free on the disk" } ?? ""
            let storage =
                limit > 0 ? "of \(ByteCountText.text(limit)) allowed, \(free)" : free.isEmpty ? "no limit" : free
            let share = limit > 0 ? Double(status.storedByteCount) / Double(limit) : diskShare
            return card(
                "Download", "\(ByteCountText.text(status.downloadRate))/s",
                "\(ByteCountText.text(status.downloadedByteCount)) since the start", plot(\.downloadRate))
                + card(
                    "Upload", "\(ByteCountText.text(status.uploadRate))/s",
                    "\(ByteCountText.text(status.uploadedByteCount)) since the start", plot(\.uploadRate))
                + card(
                    "Peers", "\(status.connectedPeerCount)",
                    status.connectingPeerCount > 0
                        ? "\(status.connectingPeerCount) more being tried" : "of at most \(status.limits.peerCount)",
                    plot { UInt64($0.peerCount) })
                + card("Storage", ByteCountText.text(status.storedByteCount), storage, meter(share, isWhole: false))
        }

        private var diskShare: Double {
            guard let free = status.freeByteCount else { return 0 }
            return Double(status.storedByteCount) / max(1, Double(status.storedByteCount) + Double(free))
        }

        private var health: String {
            guard !status.problems.isEmpty else { return "" }
            let items = status.problems.map { "<li>\(HTMLText.escaped($0)).</li>" }.joined()
            return "<section class=\"panel\"><h2>Health</h2><ul class=\"problems\">\(items)</ul></section>"
        }

        private var seedsPanel: String {
            let rows = seeds.prefix(Dashboard.rowLimit).map { seed in
                let name = seed.note.isEmpty ? "" : "<div>\(HTMLText.escaped(seed.note))</div>"
                let key = "<code class=\"key\" title=\"\(seed.key.text)\">\(short(seed.key.text))</code>"
                let linked = seed.kind == .drive ? "<a href=\"/drive/\(seed.key.text)/\">\(key)</a>" : key
                let share = seed.byteCount == 0 ? 0 : Double(seed.storedByteCount) / Double(seed.byteCount)
                let copies = seed.holders.count { $0.isComplete }
                let size =
                    seed.state == .complete || seed.byteCount == 0
                    ? ByteCountText.text(seed.storedByteCount)
                    : "\(ByteCountText.text(seed.storedByteCount)) of \(ByteCountText.text(seed.byteCount))"
                return """
                    <tr><td>\(name)\(linked)</td><td>\(kindName(seed.kind))</td><td>\(pill(seed))</td>\
                    <td class="number">\(size)\(meter(share, isWhole: seed.state == .complete))</td>\
                    <td class="number">\(copies)<div class="sub">of \(count(seed.holders.count, "peer"))</div></td>\
                    <td class="number">\(seed.priority)</td>\
                    <td class="number">\(ago(seed.lastActiveMilliseconds))</td></tr>
                    """
            }.joined()
            let title = panelTitle(
                "Seeds", status.seedCount == 0 ? "" : "\(status.completeSeedCount) of \(status.seedCount) complete")
            guard !seeds.isEmpty else {
                return panel(
                    title, "<p class=\"empty\">Nothing is seeded yet. Add a key with: <code>dweb seed KEY</code></p>")
            }
            return panel(
                title,
                table(
                    [
                        ("Key", false), ("Kind", false), ("State", false), ("Stored", true), ("Whole copies", true),
                        ("Priority", true), ("Last active", true),
                    ], rows) + more(seeds.count))
        }

        private var peersPanel: String {
            let rows = peers.prefix(Dashboard.rowLimit).map { peer in
                let address = peer.address.map { "<code>\(HTMLText.escaped($0.description))</code>" } ?? ""
                let trip = peer.roundTripTime.map { milliseconds($0) } ?? ""
                let state =
                    peer.isConnected
                    ? "<span class=\"pill good\">Connected</span>" : "<span class=\"pill\">Not connected</span>"
                let detail =
                    peer.isConnected
                    ? (peer.isInitiator ? "dialled by this node" : "dialled by the peer")
                    : [peer.state, peer.lastFailure].compactMap { $0 }.joined(separator: "; ")
                return """
                    <tr><td><code class="key" title="\(peer.publicKey.text)">\(short(peer.publicKey.text))</code></td>\
                    <td>\(state)<div class="sub">\(HTMLText.escaped(detail))</div></td>\
                    <td>\(peer.path.isEmpty ? "" : peer.path)<div class="sub">\(address)</div></td>\
                    <td class="number">\(trip)</td><td class="number">\(ByteCountText.text(peer.downloadedByteCount))</td>\
                    <td class="number">\(ByteCountText.text(peer.uploadedByteCount))</td></tr>
                    """
            }.joined()
            let title = panelTitle("Peers", peers.isEmpty ? "" : "\(status.connectedPeerCount) connected")
            guard !peers.isEmpty else { return panel(title, "<p class=\"empty\">No peer is known yet.</p>") }
            return panel(
                title,
                table(
                    [
                        ("Key", false), ("State", false), ("Path", false), ("Round trip", true), ("Received", true),
                        ("Sent", true),
                    ], rows) + more(peers.count))
        }

        private var topicsPanel: String {
            let rows = topics.prefix(Dashboard.rowLimit).map { topic in
                let roles = [topic.setting.announce ? "announce" : nil, topic.setting.lookup ? "look up" : nil]
                    .compactMap { $0 }.joined(separator: ", ")
                let state =
                    topic.isFlushed
                    ? "<span class=\"pill good\">Joined</span>"
                    : topic.isJoined
                        ? "<span class=\"pill good\">Joined</span>" : "<span class=\"pill busy\">Joining</span>"
                return """
                    <tr><td><code class="key" title="\(topic.discoveryKey.hex)">\(topic.discoveryKey.hex.prefix(12))</code></td>\
                    <td>\(roles)\(topic.seed == nil ? "" : "<div class=\"sub\">for a seed</div>")</td><td>\(state)</td></tr>
                    """
            }.joined()
            let title = panelTitle("Topics", topics.isEmpty ? "" : "\(topics.count)")
            guard !topics.isEmpty else { return panel(title, "<p class=\"empty\">No topic is joined.</p>") }
            return panel(
                title,
                table([("Discovery key", false), ("What is done", false), ("State", false)], rows) + more(topics.count))
        }

        private var networkPanel: String {
            let publicAddress =
                status.publicAddress.map { $0.port == 0 ? "\($0.hostText) (ports vary)" : $0.description }
                ?? "not known yet"
            let reach =
                status.localAddress == nil
                ? "not in use" : !status.isOnline ? "no answers" : status.isBootstrapped ? "in the network" : "joining"
            let facts: [(String, String)] = [
                ("Identity", "<code>\(status.publicKey.text)</code>"), ("Network", reach),
                ("Local address", "<code>\(HTMLText.escaped(status.localAddress?.description ?? "none"))</code>"),
                ("Seen from outside", "<code>\(HTMLText.escaped(publicAddress))</code>"),
                ("Reachable", status.isFirewalled ? "after a hole is punched" : "directly"),
                ("Routing table", count(status.routingTableCount, "node")),
                ("Logs in memory", "\(status.openLogCount)"),
            ]
            let rows = facts.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>" }.joined()
            return panel(panelTitle("Network", ""), "<dl>\(rows)</dl>")
        }

        // MARK: Pieces

        private func card(_ title: String, _ figure: String, _ detail: String, _ drawing: String) -> String {
            "<div class=\"card\"><h2>\(title)</h2><div class=\"figure\">\(figure)</div>"
                + "<div class=\"detail\">\(HTMLText.escaped(detail))</div>\(drawing)</div>"
        }

        private func panelTitle(_ title: String, _ detail: String) -> String {
            detail.isEmpty ? "<h2>\(title)</h2>" : "<h2>\(title)<small>\(detail)</small></h2>"
        }

        private func panel(_ title: String, _ content: String) -> String {
            "<section class=\"panel\">\(title)\(content)</section>"
        }

        private func table(_ columns: [(name: String, isNumber: Bool)], _ rows: String) -> String {
            let heads = columns.map { "<th\($0.isNumber ? " class=\"number\"" : "")>\($0.name)</th>" }.joined()
            return "<div class=\"scroll\"><table><thead><tr>\(heads)</tr></thead><tbody>\(rows)</tbody></table></div>"
        }

        private func more(_ total: Int) -> String {
            guard total > Dashboard.rowLimit else { return "" }
            return "<p class=\"empty\">and \(total - Dashboard.rowLimit) more</p>"
        }

        /// A line over the newest samples, filled below.
        private func plot(_ value: (TrafficHistory.Sample) -> UInt64) -> String {
            let values = history.map(value)
            let (width, height) = (300.0, 40.0)
            let top = max(1, Double(values.max() ?? 0))
            let step = width / Double(max(1, values.count - 1))
            let points = values.enumerated().map { index, value in
                "\(decimal(Double(index) * step)),\(decimal(height - 1 - Double(value) / top * (height - 3)))"
            }
            guard points.count > 1 else {
                return "<svg viewBox=\"0 0 300 40\" preserveAspectRatio=\"none\" aria-hidden=\"true\"></svg>"
            }
            let line = points.joined(separator: " ")
            return "<svg viewBox=\"0 0 300 40\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
                + "<polygon class=\"area\" points=\"0,40 \(line) 300,40\"/><polyline class=\"line\" points=\"\(line)\"/></svg>"
        }

        private func meter(_ share: Double, isWhole: Bool) -> String {
            let width = decimal(100 * min(1, max(0, share)))
            return "<svg class=\"meter\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" role=\"img\" "
                + "aria-label=\"\(Int(100 * min(1, max(0, share)))) percent\"><rect width=\"100\" height=\"6\"/>"
                + "<rect class=\"\(isWhole ? "whole" : "part")\" width=\"\(width)\" height=\"6\"/></svg>"
        }

        private func pill(_ seed: SeedStatus) -> String {
            let (text, look) =
                switch seed.state {
                case .searching: ("Searching", "")
                case .downloading: ("Downloading", "busy")
                case .complete: ("Complete", "good")
                case .evicted: ("No room", "warn")
                case .paused: ("Paused", "warn")
                case .failed: ("Failed", "bad")
                }
            let problem = seed.problem.map { " title=\"\(HTMLText.escaped($0))\"" } ?? ""
            return "<span class=\"pill \(look)\"\(problem)>\(text)</span>"
        }

        private func kindName(_ kind: SeedKind) -> String {
            switch kind {
            case .automatic: "not known"
            case .log: "Log"
            case .tree: "Tree"
            case .drive: "Drive"
            }
        }

        private func short(_ text: String) -> String { "\(text.prefix(8))\u{2026}\(text.suffix(4))" }

        private func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

        private func milliseconds(_ duration: Duration) -> String {
            let tenths = (duration.seconds * 10_000).rounded() / 10
            return tenths >= 10 ? "\(Int(tenths)) ms" : "\(tenths) ms"
        }

        private func decimal(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

        private func ago(_ milliseconds: UInt64) -> String {
            let past = nowMilliseconds - min(nowMilliseconds, milliseconds)
            return past < 60_000 ? "just now" : "\(span(milliseconds: past)) ago"
        }

        private func span(milliseconds: UInt64) -> String {
            let minutes = milliseconds / 60_000
            if minutes < 1 { return "\(milliseconds / 1_000) s" }
            if minutes < 60 { return "\(minutes) min" }
            if minutes < 48 * 60 { return "\(minutes / 60) h \(minutes % 60) min" }
            return "\(minutes / (24 * 60)) days"
        }
    }

    extension SocketAddress {
        /// The host without the port.
        var hostText: String {
            let text = with(port: 1).description
            return String(text.dropLast(2))
        }
    }
#endif
