//! Latency histogram of constant size: 128 buckets to each power of two, so that a percentile is
//! off by less than one percent of its value.

const SUB_BITS: u32 = 7;
const SUB: u64 = 1 << SUB_BITS;
/// Powers of two above the linear part: values up to 2^(7+34) ns, more than half an hour.
const OCTAVES: usize = 34;

pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Self { buckets: vec![0; (OCTAVES + 1) << SUB_BITS], count: 0, max: 0 }
    }

    pub fn record(&mut self, value: u64) {
        let last = self.buckets.len() - 1;
        self.buckets[bucket_of(value).min(last)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    pub fn clear(&mut self) {
        self.buckets.fill(0);
        self.count = 0;
        self.max = 0;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value below or at which `per_mille` thousandths of the recorded values lie; 0 if there
    /// are none.
    pub fn percentile(&self, per_mille: u64) -> u64 {
        let wanted = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                // The last bucket also holds what is beyond the scale.
                let open = bucket + 1 == self.buckets.len();
                return if open { self.max } else { upper_end(bucket).min(self.max) };
            }
        }
        self.max
    }
}

fn bucket_of(value: u64) -> usize {
    let octave = u64::from(u64::BITS - (value >> SUB_BITS).leading_zeros());
    // In octave 0 the value is its own index; above, its top SUB_BITS bits after the leading one.
    let index = if octave == 0 {
        value
    } else {
        (octave << SUB_BITS) + ((value >> (octave - 1)) & (SUB - 1))
    };
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn upper_end(bucket: usize) -> u64 {
    let octave = bucket >> SUB_BITS;
    let low = bucket as u64 & (SUB - 1);
    if octave == 0 { low } else { ((SUB + low + 1) << (octave - 1)) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_one_percent() {
        for value in (0..5000).chain([65_535, 65_536, 1_000_000, 123_456_789, 60_000_000_000]) {
            let end = upper_end(bucket_of(value));
            assert!(end >= value, "{value}");
            assert!(end - value <= value / 100, "{value} {end}");
            assert_eq!(bucket_of(end), bucket_of(value));
            assert_eq!(bucket_of(end + 1), bucket_of(value) + 1);
        }
    }

    #[test]
    fn percentiles_of_known_values() {
        let mut histogram = Histogram::new();
        for value in 1..=100 {
            histogram.record(value);
        }
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.percentile(500), 50);
        assert_eq!(histogram.percentile(990), 99);
        assert_eq!(histogram.percentile(1000), 100);
        assert_eq!(histogram.max(), 100);
    }

    #[test]
    fn a_value_out_of_range_is_kept_as_the_maximum() {
        let mut histogram = Histogram::new();
        histogram.record(u64::MAX);
        assert_eq!(histogram.percentile(500), u64::MAX);
    }

    #[test]
    fn an_empty_histogram_says_zero() {
        let mut histogram = Histogram::new();
        histogram.record(7);
        histogram.clear();
        assert_eq!((histogram.count(), histogram.percentile(500), histogram.max()), (0, 0, 0));
    }
}
