mod chips;
mod circuit;
mod fault;
mod netlist;
mod random;
