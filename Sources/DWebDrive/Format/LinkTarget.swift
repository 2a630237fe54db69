/// Translates the targets of links between drives and folders; spec 50 sections 9.5.3 and 11.11.
enum LinkTarget {
    /// The text for a link in a folder, which leads to the same place as the drive's link and never out of the folder;
    /// nil where that cannot be promised.
    ///
    /// A target that goes up after it went down is refused: what it went down through may be a link itself.
    static func exported(_ target: String, at path: DrivePath) -> String? {
        guard !target.isEmpty, !target.utf8.contains(0), !target.contains("\\") else { return nil }
        if target.hasPrefix("/") {
            guard let destination = try? DrivePath(target), !goesUpAfterDown(target) else { return nil }
            return destination.relative(toFolder: path.parent)
        }
        guard (try? path.parent.resolving(target)) != nil, !goesUpAfterDown(target) else { return nil }
        return target
    }

    /// The target for a drive of a link found in a folder: absolute in the drive, which all implementations understand
    /// alike; nil for links that lead out of the folder.
    ///
    /// - Parameters:
    ///   - text: The link's text.
    ///   - path: Where the link is, as a path in the drive.
    ///   - root: The folder's absolute path.
    static func imported(_ text: String, at path: DrivePath, root: String) -> String? {
        guard !text.isEmpty else { return nil }
        if text.hasPrefix("/") {
            let prefix = root.hasSuffix("/") ? root : root + "/"
            guard text.hasPrefix(prefix), let inside = try? DrivePath(text.dropFirst(prefix.count)) else { return nil }
            return inside.text
        }
        guard let destination = try? path.parent.resolving(text) else { return nil }
        return destination.text
    }

    private static func goesUpAfterDown(_ target: String) -> Bool {
        var wentDown = false
        for part in target.split(separator: "/") where part != "." {
            if part != ".." { wentDown = true } else if wentDown { return true }
        }
        return false
    }
}
