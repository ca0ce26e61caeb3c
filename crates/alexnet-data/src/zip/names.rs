//! Names of a zip's members.

use rawzip::ZipFileHeaderRecord;
use rawzip::extra_fields::ExtraFieldId;

/// Upper half of code page 437, which names without a mark of their encoding are in.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}";

/// Bit 11 of a member's flags: its name is UTF-8.
const UTF8: u16 = 1 << 11;

/// Name of a member; `None` if it is marked as UTF-8 and is not. Without the mark it is the Unicode name in the extra field, or UTF-8 if
/// it is valid, as macOS writes it, or code page 437.
pub(super) fn name(entry: &ZipFileHeaderRecord<'_>) -> Option<String> {
    let path = entry.file_path();
    let bytes = path.as_bytes();
    let name = if entry.flags().bits() & UTF8 != 0 {
        std::str::from_utf8(bytes).ok()?.to_string()
    } else {
        let unicode = entry.extra_fields().find(|(id, _)| *id == ExtraFieldId::INFO_ZIP_UNICODE_PATH);
        unicode.and_then(|(_, field)| of_extra_field(field, bytes)).unwrap_or_else(|| of_bytes(bytes))
    };
    // As Windows' own tools once wrote them.
    Some(if entry.version_made_by().creator_system() == rawzip::CreatorSystem::FAT { name.replace('\\', "/") } else { name })
}

/// Name in Info-ZIP's Unicode field, which also holds the checksum of the plain name.
fn of_extra_field(field: &[u8], plain: &[u8]) -> Option<String> {
    let (head, name) = field.split_at_checked(5)?;
    let mut crc = flate2::Crc::new();
    crc.update(plain);
    (head[0] == 1 && head[1..] == crc.sum().to_le_bytes()).then(|| String::from_utf8(name.to_vec()).ok())?
}

fn of_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(name) => name.into(),
        Err(_) => bytes.iter().map(|&byte| of_cp437(byte)).collect(),
    }
}

fn of_cp437(byte: u8) -> char {
    let upper = byte.checked_sub(0x80).and_then(|at| CP437.chars().nth(at.into()));
    upper.unwrap_or(char::from(byte))
}
