#if Daemon
    import DWeb
    import DWebDaemonKit

    /// The daemon's figures in the text format of Prometheus, version 0.0.4.
    struct MetricsText {
        private(set) var text = ""

        /// The figures of one moment.
        init(
            _ status: DaemonStatus, seeds: [SeedStatus], peers: [DaemonPeer], version: String,
            startedMilliseconds: UInt64
        ) {
            add(
                "dweb_info", "gauge", "The version of the daemon.", [("{version=\"\(MetricsText.label(version))\"}", 1)]
            )
            add(
                "dweb_start_time_seconds", "gauge", "When the daemon was started, since 1970.",
                [("", Double(startedMilliseconds) / 1_000)])
            add(
                "dweb_healthy", "gauge", "1 if everything works, 0 if something needs attention.",
                [("", status.health == .healthy ? 1 : 0)])
            add("dweb_read_only", "gauge", "1 while the disk refuses.", [("", status.health == .readOnly ? 1 : 0)])
            add("dweb_online", "gauge", "1 while the network answers.", [("", status.isOnline ? 1 : 0)])
            add(
                "dweb_downloaded_bytes_total", "counter", "Bytes of blocks of seeds that came from peers.",
                [("", Double(status.downloadedByteCount))])
            add(
                "dweb_uploaded_bytes_total", "counter", "Bytes of blocks of seeds that went to peers.",
                [("", Double(status.uploadedByteCount))])
            add("dweb_stored_bytes", "gauge", "Bytes of seeds that are stored.", [("", Double(status.storedByteCount))])
            add(
                "dweb_storage_limit_bytes", "gauge", "Bytes that seeds may take; 0 for any number.",
                [("", Double(status.limits.storageByteCount))])
            if let free = status.freeByteCount {
                add("dweb_free_bytes", "gauge", "Free bytes of the disk.", [("", Double(free))])
            }
            add("dweb_connected_peers", "gauge", "Open connections.", [("", Double(status.connectedPeerCount))])
            add("dweb_connecting_peers", "gauge", "Attempts under way.", [("", Double(status.connectingPeerCount))])
            var paths: [(String, Double)] = []
            for path in ["loopback", "local network", "internet"] {
                paths.append(("{path=\"\(path)\"}", Double(peers.count { $0.path == path })))
            }
            add("dweb_peers_by_path", "gauge", "Connected peers by how the packets travel.", paths)
            add("dweb_topics", "gauge", "Topics that are joined.", [("", Double(status.topicCount))])
            add(
                "dweb_routing_table_nodes", "gauge", "Nodes in the routing table.",
                [("", Double(status.routingTableCount))]
            )
            add("dweb_open_logs", "gauge", "Logs in memory.", [("", Double(status.openLogCount))])
            let states = SeedState.allCases.map { state in
                ("{state=\"\(state)\"}", Double(seeds.count { $0.state == state }))
            }
            add("dweb_seeds", "gauge", "Seeds by state.", states)
            add(
                "dweb_seed_copies", "gauge", "Connected peers that hold a seed whole.",
                seeds.map { ("{key=\"\($0.key.text)\"}", Double($0.holders.count { $0.isComplete })) })
            add(
                "dweb_seed_stored_bytes", "gauge", "Bytes stored of a seed.",
                seeds.map { ("{key=\"\($0.key.text)\"}", Double($0.storedByteCount)) })
        }

        private mutating func add(
            _ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: Double)]
        ) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
            for sample in samples {
                let value =
                    sample.value == sample.value.rounded() && abs(sample.value) < 1e15
                    ? "\(Int64(sample.value))" : "\(sample.value)"
                text += "\(name)\(sample.labels) \(value)\n"
            }
        }

        /// Text as the value of a label.
        static func label(_ text: String) -> String {
            text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        }
    }
#endif
