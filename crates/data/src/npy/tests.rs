use super::*;

fn file(header: &str, values: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
}

fn read(bytes: &[u8]) -> Result<Array, String> {
    let mut source = bytes;
    let header = Header::read(&mut source, "x.npy");
    header.and_then(|header| header.values(&mut source, "x.npy")).map_err(|error| error.to_string())
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}   \n")
}

#[test]
fn headers_in_any_order_and_of_any_version() {
    let text = "{\"shape\":(2,),'fortran_order' : True,'descr':'|u1'}";
    let expected = Array { shape: vec![2], values: Values::Bytes(vec![7, 9]) };
    assert_eq!(read(&file(text, &[7, 9])), Ok(expected.clone()));
    let version_2 = [b"\x93NUMPY\x02\x00", &(text.len() as u32).to_le_bytes()[..], text.as_bytes(), &[7, 9]];
    assert_eq!(read(&version_2.concat()), Ok(expected));
}

#[test]
fn half_precision_and_signs() {
    for (bits, number) in
        [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (1, 2f64.powi(-24)), (0x8000, 0.0)]
    {
        assert_eq!(half(bits), number, "{bits:#06x}");
    }
    assert!(half(0x7c00).is_infinite() && half(0xfc01).is_nan());
    let signed = |descr: &str, bytes: &[u8]| read(&file(&header(descr, "(1,)"), bytes));
    for (descr, bytes) in [("'|i1'", &[0xff][..]), ("'>i2'", &[0xff, 0xff]), ("'<i8'", &[0xff; 8])] {
        let array = Array { shape: vec![1], values: Values::Numbers(vec![-1.0]) };
        assert_eq!(signed(descr, bytes), Ok(array), "{descr}");
    }
}

#[test]
fn what_is_no_array_of_numbers_is_refused() {
    let eight = [0; 8];
    let cases = [
        (file(&header("'<c8'", "(1,)"), &eight), "numpy type \"<c8\""),
        (file(&header("'<U5'", "(1,)"), &eight), "numpy type"),
        (file(&header("'<f16'", "(1,)"), &eight), "at most 8 bytes"),
        (file(&header("'|O'", "(1,)"), &eight), "numpy type"),
        (file(&header("[('a', '<f4')]", "(1,)"), &eight), "records of several fields"),
        (file(&header("'<f8'", "(2,)"), &eight), "16 more bytes, found 8 (truncated)"),
        (file(&header("'<f8'", "(1,)"), &[0; 9]), "more bytes"),
        (file(&header("'<f8'", "(-1,)"), &eight), "length of an axis"),
        (file(&header("'<f8'", "(1,)"), &f64::NAN.to_le_bytes()), "element [0]: expected a finite number"),
        (file("{'descr': '<f8'}", &eight), "without one of them"),
        (file("{'descr': '<f8', 'other': 1}", &eight), "\"other\""),
        (file("\u{e9}", &eight), "'{' in the header"),
        (b"\x93NUMPY\x09\x00..".to_vec(), "version"),
        (b"PK\x03\x04....".to_vec(), "bytes that are none"),
        (b"\x93NUM".to_vec(), "truncated"),
    ];
    for (bytes, word) in cases {
        let said = read(&bytes).expect_err(word);
        assert!(said.contains("x.npy") && said.contains(word), "{word}: {said}");
    }
}
