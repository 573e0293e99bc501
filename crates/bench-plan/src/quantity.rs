//! Numbers with units as people write them: "3.3 V", "10 ms", "1 kohm".
