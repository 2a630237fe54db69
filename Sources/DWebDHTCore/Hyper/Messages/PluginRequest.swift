package import DWebBase

/// The value of a PLUGIN request; spec 20 section 8. No plugin is defined on the living network.
package struct PluginRequest: HyperCodable {
    /// The plugin's name.
    package var name: String
    /// The plugin's version.
    package var version: UInt64
    /// The command of the plugin.
    package var command: UInt64
    /// The command's argument.
    package var value: [UInt8]?

    /// Makes a request.
    package init(name: String, version: UInt64, command: UInt64, value: [UInt8]? = nil) {
        self.name = name
        self.version = version
        self.command = command
        self.value = value
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        name = try reader.readString()
        version = try reader.readUInt()
        command = try reader.readUInt()
        value = try reader.readUInt() & 1 != 0 ? try reader.readBuffer() : nil
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeString(name)
        writer.writeUInt(version)
        writer.writeUInt(command)
        writer.writeUInt(value == nil ? 0 : 1)
        if let value { writer.writeBuffer(value) }
    }
}
