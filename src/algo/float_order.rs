//! Numbers as words of 64 bits in the same order, which sort and count faster.

/// The bits of a number, so that they are in the numbers' order; -0 is 0.
#[inline]
pub(crate) fn order_of(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    bits ^ (((bits as i64 >> 63) as u64) | 1 << 63)
}

/// The number whose bits [`order_of`] gives.
#[inline]
pub(crate) fn value_of(order: u64) -> f64 {
    f64::from_bits(if order >> 63 == 1 { order ^ 1 << 63 } else { !order })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_bits_is_that_of_numbers() {
        let numbers = [f64::MIN, -1.5, -1e-300, 0.0, 5e-324, 1.0, 1.5, f64::MAX];
        assert!(numbers.windows(2).all(|pair| order_of(pair[0]) < order_of(pair[1])));
        assert!(numbers.iter().all(|x| value_of(order_of(*x)) == *x));
        assert_eq!(order_of(-0.0), order_of(0.0));
    }
}
