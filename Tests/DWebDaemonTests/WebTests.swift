#if Daemon
    import DWeb
    import DWebDrive
    import HTTPTypes
    import Hummingbird
    import NIOCore
    import Testing

    @testable import DWebDaemonServer

    /// The pure parts of the web server.
    @Suite struct WebRuleTests {
        @Test func rangesAreReadAsTheStandardSays() {
            func range(_ text: String?, _ count: UInt64 = 100) -> ByteRange {
                ByteRange(header: text, byteCount: count)
            }
            #expect(range(nil) == .whole)
            #expect(range("bytes=0-9") == .part(0..<10))
            #expect(range("bytes=90-") == .part(90..<100))
            #expect(range("bytes=90-1000") == .part(90..<100))
            #expect(range("bytes=-10") == .part(90..<100))
            #expect(range("bytes=-1000") == .part(0..<100))
            #expect(range("bytes=100-") == .unsatisfiable)
            #expect(range("bytes=-0") == .unsatisfiable)
            #expect(range("bytes=0-", 0) == .unsatisfiable)
            #expect(range("bytes=0-18446744073709551615") == .part(0..<100))
            for ignored in ["bytes=", "bytes=-", "bytes=9-0", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=+1-2"] {
                #expect(range(ignored) == .whole)
            }
        }

        @Test func onlyNamesOfThisMachineAreAnswered() {
            let check = HostCheck(port: 8_080)
            for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:8080"] {
                #expect(check.admits(host))
            }
            for host in [nil, "", "evil.example:8080", "localhost", "localhost:80", "127.0.0.1:8080.evil.example"] {
                #expect(!check.admits(host))
            }
        }

        @Test func textIsMadeSafeForPagesAndAddresses() {
            #expect(HTMLText.escaped("<script>\"&'") == "&lt;script&gt;&quot;&amp;&#39;")
            #expect(HTMLText.pathPart("a b/\u{fc}?#") == "a%20b%2F%C3%BC%3F%23")
            #expect(HTMLText.unescaped("a%20b%C3%BC") == "a b\u{fc}")
            #expect(HTMLText.unescaped("%zz") == nil)
            #expect(HTMLText.unescaped("%ff") == nil)
            #expect(HTMLText.unescaped("%2") == nil)
        }

        @Test func mediaTypesFollowTheName() {
            #expect(MediaType.of(path: "/a/index.HTML") == "text/html; charset=utf-8")
            #expect(MediaType.of(path: "/a.tar.gz") == "application/gzip")
            #expect(MediaType.of(path: "/.png") == "application/octet-stream")
            #expect(MediaType.of(path: "/plain") == "application/octet-stream")
        }

        @Test func labelsOfMetricsAreEscaped() {
            #expect(MetricsText.label("a\"b\\c\nd") == "a\\\"b\\\\c\\nd")
        }
    }

    /// Files of a drive over HTTP.
    @Suite struct DriveGatewayTests {
        private func withGateway(
            _ prepare: @escaping @Sendable (DDrive) async throws -> Void,
            _ body: @escaping @Sendable (DriveGateway) async throws -> Void
        ) async throws {
            let loop = PosixLoop()
            let outcome: Result<Void, any Error>
            do {
                let store = try await Basestore.open("store", runtime: .posix(loop: loop, storage: MemoryStorage()))
                let drive = try await DDrive.open(in: store)
                try await prepare(drive)
                try await body(DriveGateway(drive: drive, prefix: "/drive/KEY", isSandboxed: true))
                await store.close()
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            await loop.shutdown()
            try outcome.get()
        }

        private func ask(
            _ gateway: DriveGateway, _ path: String, _ method: HTTPRequest.Method = .get, _ fields: HTTPFields = [:]
        ) async throws -> (response: Response, body: String) {
            let head = HTTPRequest(
                method: method, scheme: "http", authority: "localhost", path: path, headerFields: fields)
            let response = await gateway.respond(
                to: Request(head: head, body: RequestBody(buffer: ByteBuffer())), path: path)
            let collector = BodyCollector()
            try await response.body.write(BodyWriter(collector: collector))
            return (response, await collector.text)
        }

        @Test func aFileIsServedWholeAndInPartsWithItsTypeAndTag() async throws {
            try await withGateway {
                try await $0.write(Array("hello world".utf8), to: "/a/b.txt")
            } _: { gateway in
                let whole = try await ask(gateway, "/a/b.txt")
                #expect(whole.response.status == .ok && whole.body == "hello world")
                #expect(whole.response.headers[.contentType] == "text/plain; charset=utf-8")
                #expect(whole.response.headers[.acceptRanges] == "bytes")
                #expect(whole.response.headers[.contentSecurityPolicy]?.hasPrefix("sandbox") == true)
                let tag = try #require(whole.response.headers[.eTag])

                let part = try await ask(gateway, "/a/b.txt", .get, [.range: "bytes=6-"])
                #expect(part.response.status == .partialContent && part.body == "world")
                #expect(part.response.headers[.contentRange] == "bytes 6-10/11")
                #expect(part.response.headers[.contentLength] == "5")

                let same = try await ask(gateway, "/a/b.txt", .get, [.ifNoneMatch: "\"other\", \(tag)"])
                #expect(same.response.status == .notModified && same.body.isEmpty)
                let changed = try await ask(gateway, "/a/b.txt", .get, [.range: "bytes=6-", .ifRange: "\"other\""])
                #expect(changed.response.status == .ok && changed.body == "hello world")
                let beyond = try await ask(gateway, "/a/b.txt", .get, [.range: "bytes=11-"])
                #expect(beyond.response.status == .rangeNotSatisfiable)
                #expect(beyond.response.headers[.contentRange] == "bytes */11")
                let head = try await ask(gateway, "/a/b.txt", .head)
                #expect(head.response.headers[.contentLength] == "11" && head.body.isEmpty)

                try await gateway.drive.write(Array("other".utf8), to: "/a/b.txt")
                let after = try await ask(gateway, "/a/b.txt", .get, [.ifNoneMatch: tag])
                #expect(after.response.status == .ok && after.body == "other")
            }
        }

        @Test func foldersArePagesAndNamesInThemDoNoHarm() async throws {
            try await withGateway { drive in
                try await drive.write([1], to: "/folder/<img src=x>.txt")
                try await drive.write([1], to: "/folder/sub/file")
            } _: { gateway in
                let redirect = try await ask(gateway, "/folder")
                #expect(redirect.response.status == .permanentRedirect)
                #expect(redirect.response.headers[.location] == "/drive/KEY/folder/")
                let page = try await ask(gateway, "/folder/")
                #expect(page.response.status == .ok)
                #expect(page.body.contains("&lt;img src=x&gt;.txt") && !page.body.contains("<img"))
                #expect(page.body.contains("href=\"./%3Cimg%20src%3Dx%3E.txt\""))
                #expect(page.body.contains("href=\"./sub/\""))
            }
        }

        @Test func aFolderWithAnIndexIsTheIndex() async throws {
            try await withGateway {
                try await $0.write(Array("<p>front</p>".utf8), to: "/index.html")
            } _: { gateway in
                let page = try await ask(gateway, "/")
                #expect(page.body == "<p>front</p>")
                #expect(page.response.headers[.contentType] == "text/html; charset=utf-8")
            }
        }

        @Test func whatIsNotThereAndWhatIsNoPathIsNotFound() async throws {
            try await withGateway {
                try await $0.write([1], to: "/file")
            } _: { gateway in
                for path in ["/missing", "/missing/", "/../etc/passwd", "/%2e%2e/x", "/file/"] {
                    let status1 = try await ask(gateway, path).response.status
                    #expect(status1 == .notFound)
                }
                let status2 = try await ask(gateway, "/%ff").response.status
                #expect(status2 == .badRequest)
                let status3 = try await ask(gateway, "/file", .post).response.status
                #expect(status3 == .methodNotAllowed)
            }
        }
    }

    /// Keeps what a response writes.
    private actor BodyCollector {
        private var bytes: [UInt8] = []
        func add(_ buffer: ByteBuffer) { bytes += buffer.readableBytesView }
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    private struct BodyWriter: ResponseBodyWriter {
        let collector: BodyCollector
        mutating func write(_ buffer: ByteBuffer) async throws { await collector.add(buffer) }
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }
#endif
