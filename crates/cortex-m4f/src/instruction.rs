//! A decoded instruction. Decoding computes everything that depends only on the address, above all branch targets and
//! literals.

/// Barrel shifter operations; `Rrx` shifts by one through the carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shift {
    Lsl,
    Lsr,
    Asr,
    Ror,
    Rrx,
}

/// Data processing with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alu {
    And,
    Bic,
    Orr,
    Orn,
    Eor,
    Add,
    Adc,
    Sub,
    Sbc,
    Rsb,
    Mov,
    Mvn,
    Tst,
    Teq,
    Cmp,
    Cmn,
}

impl Alu {
    pub fn only_tests(self) -> bool {
        matches!(self, Alu::Tst | Alu::Teq | Alu::Cmp | Alu::Cmn)
    }
}

/// Size and extension of a load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Byte,
    SignedByte,
    Half,
    SignedHalf,
    Word,
}

impl Width {
    pub fn bytes(self) -> u32 {
        match self {
            Width::Byte | Width::SignedByte => 1,
            Width::Half | Width::SignedHalf => 2,
            Width::Word => 4,
        }
    }
}

/// Address from base and offset, and write-back of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// Base and offset; the base stays.
    Offset,
    /// Base and offset; the base becomes the address (pre-indexed).
    Pre,
    /// The base; it becomes base and offset (post-indexed).
    Post,
}

/// The first letters of a parallel addition or subtraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lanes {
    Signed,
    Saturating,
    SignedHalving,
    Unsigned,
    UnsignedSaturating,
    UnsignedHalving,
}

/// The rest of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parallel {
    Add16,
    Asx,
    Sax,
    Sub16,
    Add8,
    Sub8,
}

/// Multiplies of halfwords and of a word with a halfword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HalfMultiply {
    Smul,
    Smla,
    Smulw,
    Smlaw,
    Smlal,
}

/// Two products at once, and the upper word of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DualMultiply {
    Smuad,
    Smlad,
    Smusd,
    Smlsd,
    Smlald,
    Smlsld,
    Smmul,
    Smmla,
    Smmls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extend {
    Sxtb,
    Sxth,
    Sxtb16,
    Uxtb,
    Uxth,
    Uxtb16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reverse {
    Rev,
    Rev16,
    Revsh,
    Rbit,
    Clz,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    Nop,
    Wfe,
    Wfi,
    Sev,
}

/// Floating-point operations on three registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FpData {
    Mla,
    Mls,
    Nmla,
    Nmls,
    Mul,
    Nmul,
    Add,
    Sub,
    Div,
    Fma,
    Fms,
    Fnma,
    Fnms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FpUnary {
    Mov,
    Abs,
    Neg,
    Sqrt,
}

/// Floating-point instructions; `d`, `n`, `m` number the single-precision registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fp {
    Data {
        op: FpData,
        d: u8,
        n: u8,
        m: u8,
    },
    Unary {
        op: FpUnary,
        d: u8,
        m: u8,
    },
    MovImm {
        d: u8,
        imm: u32,
    },
    Compare {
        d: u8,
        m: u8,
        zero: bool,
        signal_quiet: bool,
    },
    ToInt {
        d: u8,
        m: u8,
        signed: bool,
        toward_zero: bool,
    },
    FromInt {
        d: u8,
        m: u8,
        signed: bool,
    },
    ToFixed {
        d: u8,
        signed: bool,
        bits: u8,
        fraction: u8,
    },
    FromFixed {
        d: u8,
        signed: bool,
        bits: u8,
        fraction: u8,
    },
    ToHalf {
        d: u8,
        m: u8,
        top: bool,
    },
    FromHalf {
        d: u8,
        m: u8,
        top: bool,
    },
    FromCore {
        n: u8,
        t: u8,
    },
    ToCore {
        n: u8,
        t: u8,
    },
    FromCore2 {
        m: u8,
        t: u8,
        t2: u8,
    },
    ToCore2 {
        m: u8,
        t: u8,
        t2: u8,
    },
    /// VMSR; `None`: FPSCR, else a register that firmware cannot write.
    WriteStatus {
        t: u8,
    },
    /// VMRS; 15 copies the flags to APSR.
    ReadStatus {
        t: u8,
    },
    /// VLDR, VSTR of `count` words.
    Load {
        d: u8,
        n: u8,
        count: u8,
        offset: i32,
    },
    Store {
        d: u8,
        n: u8,
        count: u8,
        offset: i32,
    },
    /// VLDM, VSTM, VPUSH, VPOP.
    LoadMany {
        d: u8,
        n: u8,
        count: u8,
        down: bool,
        writeback: bool,
    },
    StoreMany {
        d: u8,
        n: u8,
        count: u8,
        down: bool,
        writeback: bool,
    },
    /// The floating-point unit has no such instruction.
    Undefined,
}

/// Carry out of an immediate that was rotated into place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carry {
    Keep,
    Clear,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instruction {
    // The common data processing instructions; `s`: sets the flags.
    MovImm {
        s: bool,
        d: u8,
        carry: Carry,
        imm: u32,
    },
    MovReg {
        s: bool,
        d: u8,
        m: u8,
    },
    AddImm {
        s: bool,
        d: u8,
        n: u8,
        imm: u32,
    },
    SubImm {
        s: bool,
        d: u8,
        n: u8,
        imm: u32,
    },
    AddReg {
        s: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    SubReg {
        s: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    CmpImm {
        n: u8,
        imm: u32,
    },
    CmpReg {
        n: u8,
        m: u8,
    },
    // The other data processing instructions.
    AluImm {
        op: Alu,
        s: bool,
        d: u8,
        n: u8,
        carry: Carry,
        imm: u32,
    },
    AluReg {
        op: Alu,
        s: bool,
        d: u8,
        n: u8,
        m: u8,
        shift: Shift,
        amount: u8,
    },
    ShiftReg {
        shift: Shift,
        s: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    /// MOV and ADD with the program counter as destination.
    MovPc {
        m: u8,
    },
    AddPc {
        m: u8,
    },
    Movt {
        d: u8,
        imm: u16,
    },
    Bfi {
        d: u8,
        n: u8,
        lsb: u8,
        width: u8,
    },
    Bfc {
        d: u8,
        lsb: u8,
        width: u8,
    },
    Sbfx {
        d: u8,
        n: u8,
        lsb: u8,
        width: u8,
    },
    Ubfx {
        d: u8,
        n: u8,
        lsb: u8,
        width: u8,
    },

    Branch {
        target: u32,
    },
    BranchIf {
        condition: u8,
        target: u32,
    },
    BranchLink {
        target: u32,
    },
    BranchZero {
        n: u8,
        zero: bool,
        target: u32,
    },
    Bx {
        m: u8,
    },
    Blx {
        m: u8,
    },
    TableBranch {
        n: u8,
        m: u8,
        half: bool,
    },
    It {
        state: u8,
    },

    // The common loads and stores: base and offset.
    LoadWord {
        t: u8,
        n: u8,
        offset: u32,
    },
    LoadByte {
        t: u8,
        n: u8,
        offset: u32,
    },
    LoadHalf {
        t: u8,
        n: u8,
        offset: u32,
    },
    StoreWord {
        t: u8,
        n: u8,
        offset: u32,
    },
    StoreByte {
        t: u8,
        n: u8,
        offset: u32,
    },
    StoreHalf {
        t: u8,
        n: u8,
        offset: u32,
    },
    LoadLiteral {
        width: Width,
        t: u8,
        address: u32,
    },
    LoadReg {
        width: Width,
        t: u8,
        n: u8,
        m: u8,
        amount: u8,
    },
    StoreReg {
        width: Width,
        t: u8,
        n: u8,
        m: u8,
        amount: u8,
    },
    LoadImm {
        width: Width,
        index: Index,
        t: u8,
        n: u8,
        offset: i32,
    },
    StoreImm {
        width: Width,
        index: Index,
        t: u8,
        n: u8,
        offset: i32,
    },
    LoadUser {
        width: Width,
        t: u8,
        n: u8,
        offset: u32,
    },
    StoreUser {
        width: Width,
        t: u8,
        n: u8,
        offset: u32,
    },
    LoadDual {
        index: Index,
        t: u8,
        t2: u8,
        n: u8,
        offset: i32,
    },
    StoreDual {
        index: Index,
        t: u8,
        t2: u8,
        n: u8,
        offset: i32,
    },
    LoadMany {
        n: u8,
        down: bool,
        writeback: bool,
        list: u16,
    },
    StoreMany {
        n: u8,
        down: bool,
        writeback: bool,
        list: u16,
    },
    LoadExclusive {
        width: Width,
        t: u8,
        n: u8,
        offset: u32,
    },
    StoreExclusive {
        width: Width,
        d: u8,
        t: u8,
        n: u8,
        offset: u32,
    },
    ClearExclusive,

    Mul {
        s: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    Mla {
        d: u8,
        n: u8,
        m: u8,
        a: u8,
    },
    Mls {
        d: u8,
        n: u8,
        m: u8,
        a: u8,
    },
    MulLong {
        signed: bool,
        accumulate: bool,
        low: u8,
        high: u8,
        n: u8,
        m: u8,
    },
    Umaal {
        low: u8,
        high: u8,
        n: u8,
        m: u8,
    },
    Divide {
        signed: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    HalfMultiply {
        op: HalfMultiply,
        d: u8,
        n: u8,
        m: u8,
        a: u8,
        n_top: bool,
        m_top: bool,
    },
    DualMultiply {
        op: DualMultiply,
        d: u8,
        n: u8,
        m: u8,
        a: u8,
        x: bool,
    },
    Saturate {
        signed: bool,
        d: u8,
        n: u8,
        bits: u8,
        shift: Shift,
        amount: u8,
    },
    Saturate16 {
        signed: bool,
        d: u8,
        n: u8,
        bits: u8,
    },
    SaturatingAdd {
        subtract: bool,
        double: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    Parallel {
        lanes: Lanes,
        op: Parallel,
        d: u8,
        n: u8,
        m: u8,
    },
    Select {
        d: u8,
        n: u8,
        m: u8,
    },
    AbsoluteDifferences {
        d: u8,
        n: u8,
        m: u8,
        a: u8,
    },
    Pack {
        top: bool,
        d: u8,
        n: u8,
        m: u8,
        amount: u8,
    },
    Extend {
        op: Extend,
        d: u8,
        n: u8,
        m: u8,
        rotate: u8,
    },
    Reverse {
        op: Reverse,
        d: u8,
        m: u8,
    },

    Hint {
        op: Hint,
    },
    Cps {
        disable: bool,
        primask: bool,
        faultmask: bool,
    },
    Mrs {
        d: u8,
        special: u8,
    },
    Msr {
        n: u8,
        special: u8,
        mask: u8,
    },
    Svc,
    Breakpoint,
    Fp {
        op: Fp,
    },
    /// A missing coprocessor, or an undefined encoding of the floating-point unit.
    Coprocessor {
        number: u8,
    },
    Undefined,
}

impl Instruction {
    /// A halfword instruction that sets the flags does not set them in an IT block.
    pub fn without_flags(mut self) -> Instruction {
        match &mut self {
            Instruction::MovImm { s, .. }
            | Instruction::MovReg { s, .. }
            | Instruction::AddImm { s, .. }
            | Instruction::SubImm { s, .. }
            | Instruction::AddReg { s, .. }
            | Instruction::SubReg { s, .. }
            | Instruction::ShiftReg { s, .. }
            | Instruction::Mul { s, .. } => *s = false,
            Instruction::AluImm { op, s, .. } | Instruction::AluReg { op, s, .. } if !op.only_tests() => *s = false,
            _ => {}
        }
        self
    }
}
