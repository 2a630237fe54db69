#if Daemon
    import DWeb
    import DWebDaemonKit
    import DWebDrive
    import Foundation
    import HTTPTypes
    import Hummingbird
    import Logging
    import NIOCore

    /// The local web server: the dashboard with its events, the metrics, and the files of seeded drives. Loopback only.
    struct WebServer: Sendable {
        /// What the server shows.
        enum Content: Sendable {
            /// A daemon with everything it has.
            case daemon(Daemon)
            /// One drive at the root.
            case drive(DDrive)
        }

        /// The address, for example `http://127.0.0.1:49780/`.
        let url: String
        private let port: Int
        private let content: Content
        private let logger: Logger

        // How often the dashboard gets a new state.
        private static let eventInterval: Duration = .seconds(2)
        // Dashboards that are open at the same time; each costs a report every two seconds.
        private static let eventStreamLimit = 16

        /// A server on a port that is free now.
        ///
        /// - Throws: ``DaemonProcessError`` if the port is taken, unless any will do.
        static func bind(
            port: UInt16, isAnyAllowed: Bool = false, content: Content, logger: Logger
        ) throws(DaemonProcessError) -> WebServer {
            let chosen: UInt16
            do throws(DaemonProcessError) {
                chosen = try FreePort.check(port)
            } catch {
                guard isAnyAllowed else { throw error }
                chosen = try FreePort.check(0)
            }
            return WebServer(
                url: "http://127.0.0.1:\(chosen)/", port: Int(chosen), content: content, logger: logger)
        }

        /// Serves until the task is cancelled.
        func run() async throws {
            let check = HostCheck(port: port)
            let streams = StreamCount(limit: WebServer.eventStreamLimit)
            let responder = CallbackResponder<BasicRequestContext> { [self] request, _ in
                guard check.admits(request.head.authority) else {
                    return text(.misdirectedRequest, "This server answers only to localhost.")
                }
                switch content {
                case .drive(let drive):
                    return await DriveGateway(drive: drive, prefix: "", isSandboxed: false)
                        .respond(to: request, path: request.uri.path)
                case .daemon(let daemon): return await respond(to: request, daemon, streams)
                }
            }
            var quiet = logger
            quiet.logLevel = .critical
            let application = Application(
                responder: responder,
                configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: port)), logger: quiet)
            try await application.run()
        }

        private func respond(to request: Request, _ daemon: Daemon, _ streams: StreamCount) async -> Response {
            let path = request.uri.path
            if path.hasPrefix("/drive/") { return await drive(request, daemon) }
            guard request.method == .get || request.method == .head else {
                return text(.methodNotAllowed, "This page can only be read.")
            }
            switch path {
            case "/":
                let page = await Dashboard(daemon).page
                return page.response("text/html; charset=utf-8", [.contentSecurityPolicy: WebPage.dashboardPolicy])
            case "/style.css": return WebPage.style.response("text/css; charset=utf-8")
            case "/script.js": return WebPage.script.response("text/javascript; charset=utf-8")
            case "/icon.svg": return WebServer.icon.response("image/svg+xml")
            case "/events" where request.method == .get: return events(daemon, streams)
            case "/metrics":
                let metrics = MetricsText(
                    await daemon.status(), seeds: await daemon.seedStatuses(), peers: await daemon.peers(),
                    version: DWebVersion.text, startedMilliseconds: daemon.startedMilliseconds)
                return metrics.text.response("text/plain; version=0.0.4; charset=utf-8")
            default: return text(.notFound, "There is no such page.")
            }
        }

        /// A file of a seeded drive. Only of those: a page elsewhere must not make the daemon fetch what it likes.
        private func drive(_ request: Request, _ daemon: Daemon) async -> Response {
            let rest = request.uri.path.dropFirst("/drive/".count)
            let name = rest.prefix { $0 != "/" }
            guard let key = try? PublicKey(text: name) else { return text(.notFound, "The address names no drive.") }
            guard let drive = await daemon.drive(key) else {
                return text(.notFound, "This drive is not seeded here, or nothing is known of it yet.")
            }
            let path = rest.dropFirst(name.count)
            guard !path.isEmpty else {
                return Response(status: .permanentRedirect, headers: [.location: "/drive/\(name)/"])
            }
            return await DriveGateway(drive: drive, prefix: "/drive/\(name)", isSandboxed: true)
                .respond(to: request, path: String(path))
        }

        /// The sections of the dashboard that changed, every two seconds.
        private func events(_ daemon: Daemon, _ streams: StreamCount) -> Response {
            guard streams.take() else { return text(.serviceUnavailable, "Too many dashboards are open.") }
            let headers: HTTPFields = [.contentType: "text/event-stream", .cacheControl: "no-store"]
            return Response(
                status: .ok, headers: headers,
                body: ResponseBody { writer in
                    defer { streams.giveBack() }
                    var sent: [String: String] = [:]
                    while !Task.isCancelled {
                        var message = ""
                        for section in await Dashboard(daemon).sections where sent[section.name] != section.html {
                            sent[section.name] = section.html
                            message += "event: section\ndata: \(section.name)\n"
                            for line in section.html.split(separator: "\n") { message += "data: \(line)\n" }
                            message += "\n"
                        }
                        // A comment finds out whether the browser is still there.
                        try await writer.write(ByteBuffer(string: message.isEmpty ? ":\n\n" : message))
                        try await Task.sleep(for: WebServer.eventInterval)
                    }
                    try await writer.finish(nil)
                })
        }

        private func text(_ status: HTTPResponse.Status, _ text: String) -> Response {
            var response = (text + "\n").response("text/plain; charset=utf-8")
            response.status = status
            return response
        }

        private static let icon = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2456d6"/>\
            <circle cx="16" cy="9" r="3.5" fill="#fff"/><circle cx="8.5" cy="22" r="3.5" fill="#fff"/>\
            <circle cx="23.5" cy="22" r="3.5" fill="#fff"/><path d="M16 9 8.5 22h15z" fill="none" stroke="#fff" \
            stroke-width="2"/></svg>
            """
    }

    extension Dashboard {
        init(_ daemon: Daemon) async {
            await self.init(
                daemon, version: DWebVersion.text, nowMilliseconds: UInt64(Date().timeIntervalSince1970 * 1_000))
        }
    }

    extension String {
        /// The text as an answer that is never stored and never taken for something else.
        fileprivate func response(_ type: String, _ fields: HTTPFields = [:]) -> Response {
            var headers = fields
            headers[.contentType] = type
            headers[.cacheControl] = "no-store"
            headers[.xContentTypeOptions] = "nosniff"
            return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: self)))
        }
    }
#endif
