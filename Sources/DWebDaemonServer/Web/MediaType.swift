#if Daemon
    /// The media types of files, by the ends of their names; from the registry of IANA, as far as browsers show them.
    enum MediaType {
        private static let types: [String: String] = [
            "7z": "application/x-7z-compressed", "aac": "audio/aac", "apng": "image/apng", "avi": "video/x-msvideo",
            "avif": "image/avif", "bmp": "image/bmp", "bz2": "application/x-bzip2", "css": "text/css; charset=utf-8",
            "csv": "text/csv; charset=utf-8", "epub": "application/epub+zip", "flac": "audio/flac", "gif": "image/gif",
            "gz": "application/gzip", "htm": "text/html; charset=utf-8", "html": "text/html; charset=utf-8",
            "ico": "image/vnd.microsoft.icon", "ics": "text/calendar; charset=utf-8", "jpeg": "image/jpeg",
            "jpg": "image/jpeg", "js": "text/javascript; charset=utf-8", "json": "application/json",
            "jsonld": "application/ld+json", "jxl": "image/jxl", "log": "text/plain; charset=utf-8",
            "m3u8": "application/vnd.apple.mpegurl", "m4a": "audio/mp4", "m4v": "video/mp4",
            "map": "application/json", "md": "text/markdown; charset=utf-8", "mid": "audio/midi",
            "mjs": "text/javascript; charset=utf-8", "mkv": "video/matroska", "mov": "video/quicktime",
            "mp3": "audio/mpeg", "mp4": "video/mp4", "mpeg": "video/mpeg", "oga": "audio/ogg", "ogg": "audio/ogg",
            "ogv": "video/ogg", "opus": "audio/ogg", "otf": "font/otf", "pdf": "application/pdf", "png": "image/png",
            "rtf": "application/rtf", "sh": "text/plain; charset=utf-8", "svg": "image/svg+xml",
            "swift": "text/plain; charset=utf-8", "tar": "application/x-tar", "tif": "image/tiff", "tiff": "image/tiff",
            "toml": "text/plain; charset=utf-8", "ts": "video/mp2t", "ttf": "font/ttf",
            "txt": "text/plain; charset=utf-8",
            "vtt": "text/vtt; charset=utf-8", "wasm": "application/wasm", "wav": "audio/wav", "weba": "audio/webm",
            "webm": "video/webm", "webmanifest": "application/manifest+json", "webp": "image/webp", "woff": "font/woff",
            "woff2": "font/woff2", "xhtml": "application/xhtml+xml", "xml": "application/xml",
            "xz": "application/x-xz", "yaml": "application/yaml", "yml": "application/yaml", "zip": "application/zip",
            "zst": "application/zstd",
        ]

        /// The type of a file with this name; plain bytes if the end says nothing.
        static func of(path: String) -> String {
            let name = path.split(separator: "/").last ?? ""
            guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "application/octet-stream" }
            return types[name[name.index(after: dot)...].lowercased()] ?? "application/octet-stream"
        }
    }
#endif
