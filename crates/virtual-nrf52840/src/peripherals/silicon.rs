//! Features of the chip that the model lacks, so that the model can report firmware that uses them.

/// Events and shortcuts (bits of INTEN and SHORTS) that exist on the chip, for blocks that are not fully modelled.
/// Blocks that share an id are merged.
pub fn events_and_shorts(id: u8) -> (u32, u32) {
    match id {
        // CLOCK and POWER, with SLEEPENTER and SLEEPEXIT.
        0x00 => (0xFFF, 0),
        0x01 => (0xCFF_F4FF, 0x3F_F97F),
        // UARTE0 with CTS_STARTRX and NCTS_STOPRX of the UART without EasyDMA.
        0x02 => (0x5A_0397, 0x78),
        // SPI, SPIM, SPIS, TWI, TWIM and TWIS.
        0x03 | 0x04 => (0x79C_47D6, 0x2_7F87),
        // SPI, SPIM and SPIS.
        0x23 => (0x8_0556, 0x2_0004),
        0x27 => (0x1FF_FFFF, 0x1F),
        _ => (0, 0),
    }
}

/// Tasks that the model has: bit n for the register at 4 n.
pub fn modelled_tasks(id: u8) -> u32 {
    match id {
        0x00 => 0xC000_007F,
        0x01 => 0x7F,
        0x02 | 0x28 => 0x80F,
        0x03 | 0x04 => 0x1B5,
        0x05 => 0x68F,
        0x06 => 0xFF0F_F0FF,
        0x07 | 0x0B | 0x11 | 0x24 => 0xF,
        0x08..=0x0A => 0xF_001F,
        0x0C | 0x0D => 0x3,
        0x10 => 0x1,
        0x14..=0x19 => 0xFFFF,
        0x1A | 0x1B => 0x3F_001F,
        0x1C | 0x21 | 0x22 | 0x2D => 0x1E,
        // The groups of PPI itself.
        0x1F => 0xFFF,
        0x23 | 0x2F => 0x1B0,
        // Neither the isochronous ones nor DPDMDRIVE.
        0x27 => 0x3B_FDFE,
        0x29 => 0x1F,
        _ => 0,
    }
}
