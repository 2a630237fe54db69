import DWeb

extension DDrive {
    /// Removes files, and folders with everything below them if asked, as one change: all or nothing.
    ///
    /// - Returns: The paths of the files that were removed.
    func removeAll(_ paths: [String], isRecursive: Bool) async throws -> [String] {
        let batch = batch()
        do {
            var removed: [String] = []
            for path in paths { removed += try await stageRemoval(of: path, isRecursive: isRecursive, in: batch) }
            try await batch.flush()
            return removed
        } catch {
            await batch.close()
            throw error
        }
    }

    private func stageRemoval(
        of path: String, isRecursive: Bool, in batch: DriveBatch
    ) async throws -> [String] {
        if path != "/", let entry = try await entry(at: path) {
            // What another argument named already is gone as well.
            return try await batch.remove(entry.path) ? [entry.path] : []
        }
        guard isRecursive else {
            throw CommandFailure(.failure, "There is no file at \(path); folders need --recursive.")
        }
        var removed: [String] = []
        var isEmpty = true
        for try await entry in entries(in: path) {
            isEmpty = false
            if try await batch.remove(entry.path) { removed.append(entry.path) }
        }
        guard !isEmpty else { throw CommandFailure(.failure, "There is nothing at \(path).") }
        return removed
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
