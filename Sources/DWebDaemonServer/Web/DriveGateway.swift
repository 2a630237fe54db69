#if Daemon
    import DWeb
    import DWebDrive
    import HTTPTypes
    import Hummingbird
    import NIOCore

    /// Serves the files of a drive: byte ranges, media types, folders as pages, tags that change with every change.
    struct DriveGateway: Sendable {
        /// How long a request waits for blocks that have to come from peers, at every step.
        static let wait: Duration = .seconds(30)
        // Names that a page of a folder lists.
        private static let childLimit = 10_000

        let drive: DDrive
        /// What comes before the drive's own paths in URLs: empty, or `/drive/KEY`.
        let prefix: String
        /// Whether pages of the drive are kept from reading what else this server has.
        let isSandboxed: Bool

        /// Answers a request for `path`, as it stands in the URL after the prefix.
        func respond(to request: Request, path escapedPath: String) async -> Response {
            guard request.method == .get || request.method == .head else {
                return message(.methodNotAllowed, "Drives can only be read.", [.allow: "GET, HEAD"])
            }
            guard let path = HTMLText.unescaped(escapedPath), path.hasPrefix("/") else {
                return message(.badRequest, "The path is not well formed.")
            }
            let options = ReadOptions.wait(upTo: DriveGateway.wait)
            do throws(DDriveError) {
                let view = drive.version > 1 ? drive.snapshot() : drive
                if !path.hasSuffix("/") {
                    if let entry = try await view.entry(at: path, links: .follow, options), entry.blob != nil {
                        return try await file(entry, of: view, request, options)
                    }
                    guard try await isFolder(path, of: view, options) else {
                        return message(.notFound, "There is nothing at this path.")
                    }
                    return Response(
                        status: .permanentRedirect, headers: [.location: prefix + escaped(path) + "/"])
                }
                if let entry = try await view.entry(at: path + "index.html", links: .follow, options), entry.blob != nil
                {
                    return try await file(entry, of: view, request, options)
                }
                return try await folder(path, of: view, options)
            } catch {
                switch error.code {
                case .invalidPath, .notFound, .badLink: return message(.notFound, "There is nothing at this path.")
                case .noPeers, .notAvailable, .deadlineExceeded:
                    return message(
                        .gatewayTimeout, "No peer had the data in time. It may come later.", [.retryAfter: "30"])
                default: return message(.badGateway, "The drive cannot be read: \(error.detail).")
                }
            }
        }

        // MARK: Files

        private func file(
            _ entry: DDrive.Entry, of view: DDrive, _ request: Request, _ options: ReadOptions
        ) async throws(DDriveError) -> Response {
            let byteCount = try await view.byteCount(of: entry, options)
            let tag = "\"\(view.database.fork)-\(entry.sequence)\""
            var headers: HTTPFields = [
                .contentType: MediaType.of(path: entry.path), .eTag: tag, .acceptRanges: "bytes",
                // Asked again every time: a drive changes without notice, and the answer is usually 304.
                .cacheControl: "no-cache", .xContentTypeOptions: "nosniff",
            ]
            protect(&headers)
            if matches(request.headers[.ifNoneMatch], tag) { return Response(status: .notModified, headers: headers) }
            var wanted = ByteRange(header: request.headers[.range], byteCount: byteCount)
            if let condition = request.headers[.ifRange], condition != tag { wanted = .whole }
            let range: Range<UInt64>
            var status = HTTPResponse.Status.ok
            switch wanted {
            case .whole: range = 0..<byteCount
            case .part(let part):
                range = part
                status = .partialContent
                headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(byteCount)"
            case .unsatisfiable:
                headers[.contentRange] = "bytes */\(byteCount)"
                return Response(status: .rangeNotSatisfiable, headers: headers)
            }
            headers[.contentLength] = "\(range.count)"
            if request.method == .head { return Response(status: status, headers: headers) }
            // The first piece is read before the answer begins, so that content that cannot be had is an error, not a
            // broken answer.
            var iterator = view.content(of: entry, range: range, options).makeAsyncIterator()
            let first = range.isEmpty ? nil : try await iterator.next()
            let start = range.lowerBound + UInt64(first?.count ?? 0)
            let end = range.upperBound
            return Response(
                status: status, headers: headers,
                body: ResponseBody(contentLength: range.count) { writer in
                    if let first { try await writer.write(ByteBuffer(bytes: first)) }
                    if start < end {
                        for try await piece in view.content(of: entry, range: start..<end, options) {
                            try await writer.write(ByteBuffer(bytes: piece))
                        }
                    }
                    try await writer.finish(nil)
                })
        }

        private func matches(_ header: String?, _ tag: String) -> Bool {
            guard let header else { return false }
            return header.split(separator: ",").contains { candidate in
                let text = candidate.drop { $0 == " " }
                return text == "*" || text == tag || text == "W/" + tag
            }
        }

        // MARK: Folders

        private func isFolder(
            _ path: String, of view: DDrive, _ options: ReadOptions
        ) async throws(DDriveError) -> Bool {
            var iterator = view.entries(in: path, options).makeAsyncIterator()
            return try await iterator.next() != nil
        }

        private func folder(
            _ path: String, of view: DDrive, _ options: ReadOptions
        ) async throws(DDriveError) -> Response {
            var folders: [String] = []
            var files: [(name: String, entry: DDrive.Entry)] = []
            var iterator = view.children(of: path, options).makeAsyncIterator()
            while let child = try await iterator.next(), folders.count + files.count < DriveGateway.childLimit {
                if child.isFolder { folders.append(child.name) }
                if let entry = child.entry { files.append((child.name, entry)) }
            }
            if folders.isEmpty, files.isEmpty, path != "/" {
                return message(.notFound, "There is nothing at this path.")
            }
            var rows = ""
            if path != "/" { rows += "<tr><td><a href=\"../\">..</a></td><td></td></tr>\n" }
            for name in folders {
                rows +=
                    "<tr><td><a href=\"./\(HTMLText.pathPart(name))/\">\(HTMLText.escaped(name))/</a></td><td></td></tr>\n"
            }
            for file in files {
                let size = file.entry.linkTarget == nil ? ByteCountText.text(file.entry.byteCount) : "link"
                rows += "<tr><td><a href=\"./\(HTMLText.pathPart(file.name))\">\(HTMLText.escaped(file.name))</a></td>"
                rows += "<td>\(size)</td></tr>\n"
            }
            let page = WebPage.listing(title: path, key: drive.key.text, version: view.version, rows: rows)
            var headers: HTTPFields = [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-cache", .xContentTypeOptions: "nosniff",
                .contentSecurityPolicy: WebPage.listingPolicy,
            ]
            headers[.eTag] = "\"\(view.database.fork)-\(view.version)-list\""
            return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: page)))
        }

        // MARK: Inside

        private func escaped(_ path: String) -> String {
            path.split(separator: "/", omittingEmptySubsequences: false).map { HTMLText.pathPart($0) }
                .joined(separator: "/")
        }

        /// What a stranger wrote runs in an origin of its own, where it reads nothing else of this server.
        private func protect(_ headers: inout HTTPFields) {
            guard isSandboxed else { return }
            headers[.contentSecurityPolicy] =
                "sandbox allow-scripts allow-forms allow-popups allow-downloads; frame-ancestors 'self'"
        }

        private func message(
            _ status: HTTPResponse.Status, _ text: String, _ fields: HTTPFields = [:]
        ) -> Response {
            var headers = fields
            headers[.contentType] = "text/plain; charset=utf-8"
            headers[.cacheControl] = "no-store"
            return Response(
                status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text + "\n")))
        }
    }
#endif
