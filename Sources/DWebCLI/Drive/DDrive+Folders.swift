import DWeb

extension DDrive {
    /// Removes everything below a folder at once, and returns the paths.
    func removeAll(in folder: String) async throws -> [String] {
        var paths: [String] = []
        for try await entry in entries(in: folder) { paths.append(entry.path) }
        let batch = batch()
        for path in paths { try await batch.remove(path) }
        try await batch.flush()
        return paths
    }

    /// Moves a file, or everything below a folder at once, and returns the new paths.
    func moveAll(_ path: String, to newPath: String) async throws -> [String] {
        if path != "/", try await contains(path) {
            try await move(path, to: newPath)
            return [newPath]
        }
        let prefix = path.hasSuffix("/") ? path : path + "/"
        let newPrefix = newPath.hasSuffix("/") ? newPath : newPath + "/"
        guard !newPrefix.hasPrefix(prefix) else {
            throw CommandFailure(.usage, "A folder cannot be moved into itself.")
        }
        var paths: [String] = []
        for try await entry in entries(in: path) { paths.append(entry.path) }
        guard let first = paths.first else { throw CommandFailure(.failure, "There is nothing at \(path).") }
        guard first.hasPrefix(prefix) else {
            throw CommandFailure(.usage, "Name the folder by its full path, for example /\(path).")
        }
        let batch = batch()
        var moved: [String] = []
        for old in paths {
            let new = newPrefix + old.dropFirst(prefix.count)
            try await batch.move(old, to: new)
            moved.append(new)
        }
        try await batch.flush()
        return moved
    }
}
