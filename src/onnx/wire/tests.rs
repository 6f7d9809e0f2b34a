use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn batch(n_rows: u32) -> Batch {
    let n = n_rows as usize;
    Batch {
        n_rows,
        tensors: vec![
            Tensor {
                name: "a".to_owned(),
                width: 2,
                data: Data::F32((0..2 * n).map(|i| i as f32).collect()),
            },
            Tensor {
                name: "b".to_owned(),
                width: 1,
                data: Data::I64((0..n as i64).map(|i| -i).collect()),
            },
            Tensor {
                name: "ç".to_owned(), width: 1, data: Data::Str(vec!["wést".to_owned(); n])
            },
            Tensor { name: "d".to_owned(), width: 1, data: Data::F64(vec![f64::NAN.max(1.5); n]) },
        ],
    }
}

fn requests() -> Vec<Request> {
    vec![
        Request::Hello { version: VERSION },
        Request::Have { sha256: [1; 32] },
        Request::LoadBegin { sha256: [2; 32], total: 77 },
        Request::LoadChunk(vec![1, 2, 3]),
        Request::Describe { sha256: [3; 32] },
        Request::Run(Run { sha256: [4; 32], outputs: vec!["p".to_owned()], batch: batch(3) }),
        Request::Run(Run { sha256: [4; 32], outputs: vec![], batch: batch(0) }),
        Request::Status,
    ]
}

fn responses() -> Vec<Response> {
    let output = |classes| Output {
        name: "p".to_owned(),
        shape: vec![2, 2],
        data: Data::F32(vec![0.5; 4]),
        classes,
    };
    let port =
        Port { name: "x".to_owned(), element: Element::Float, shape: vec![-1, 3], zipmap: false };
    vec![
        Response::Hello(Hello {
            version: 1,
            runtime: "1.31".to_owned(),
            providers: vec!["cpu".to_owned()],
            warning: None,
        }),
        Response::Ready { warning: Some("no cuda".to_owned()) },
        Response::NeedModel,
        Response::Described(Described {
            inputs: vec![port.clone()],
            outputs: vec![port],
            warning: None,
        }),
        Response::Outputs {
            outputs: vec![output(None), output(Some(Data::I64(vec![0, 1])))],
            warning: Some("w".to_owned()),
        },
        Response::Error { kind: ErrorKind::ModelRefused, message: "no".to_owned() },
    ]
}

fn encoded_request(request: &Request) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(&mut out).expect("a valid request");
    out
}

fn encoded_response(response: &Response) -> Vec<u8> {
    let mut out = Vec::new();
    response.encode(&mut out).expect("a valid response");
    out
}

fn frame(bytes: &[u8]) -> Frame {
    read_frame(&mut Cursor::new(bytes)).expect("a whole frame").expect("not the end")
}

#[test]
fn messages_come_back_as_they_were() {
    for request in requests() {
        assert_eq!(Request::decode(frame(&encoded_request(&request))), Ok(request));
    }
    for response in responses() {
        assert_eq!(Response::decode(frame(&encoded_response(&response))), Ok(response));
    }
}

#[test]
fn an_inbox_takes_frames_as_they_come_in_pieces() {
    let mut stream: Vec<u8> = requests().iter().flat_map(encoded_request).collect();
    stream.push(9);
    let mut inbox = Inbox::default();
    let mut taken = Vec::new();
    for piece in stream.chunks(7) {
        inbox.read_from(&mut Cursor::new(piece)).expect("in memory");
        while let Some(frame) = inbox.take().expect("valid frames") {
            taken.push(Request::decode(frame).expect("a valid request"));
        }
    }
    assert_eq!(taken, requests());
    assert!(!inbox.is_empty());
}

#[test]
fn a_frame_that_claims_too_much_is_refused_before_memory_is_taken() {
    let huge = [0xff, 0xff, 0xff, 0xff, 1];
    assert!(read_frame(&mut Cursor::new(&huge)).is_err());
    let mut inbox = Inbox::default();
    inbox.read_from(&mut Cursor::new(&huge)).expect("in memory");
    assert_eq!(
        inbox.take(),
        Err(Error::FrameTooLarge { found: 0xffff_ffff, allowed: MAX_FRAME as u64 })
    );
    let claims = [0, 0, 0, 8, 1, 0, 0];
    assert_eq!(
        read_frame(&mut Cursor::new(&claims)).map_err(|e| e.kind()),
        Err(std::io::ErrorKind::UnexpectedEof)
    );
}

#[test]
fn a_hang_up_between_frames_is_no_error_and_within_one_is() {
    assert!(matches!(read_frame(&mut Cursor::new([])), Ok(None)));
    let bytes = encoded_request(&Request::Have { sha256: [0; 32] });
    for len in 1..bytes.len() {
        assert!(read_frame(&mut Cursor::new(&bytes[..len])).is_err());
    }
}

#[test]
fn a_batch_of_wrong_size_is_refused() {
    let mut wrong = batch(3);
    wrong.tensors[0].width = 3;
    let expected = Err(Error::DimensionMismatch { name: "a".to_owned(), expected: 9, found: 6 });
    assert_eq!(wrong.check(), expected);
    wrong.n_rows = MAX_ROWS + 1;
    assert!(matches!(wrong.check(), Err(Error::TooMany { what: "rows", .. })));
    let wide = Tensor { name: "w".to_owned(), width: u32::MAX, data: Data::F32(vec![]) };
    let wide = Batch { n_rows: 0, tensors: vec![wide.clone(), wide] };
    assert!(matches!(wide.check(), Err(Error::TooMany { what: "columns", .. })));
}

#[test]
fn an_output_whose_shape_lies_is_refused() {
    for (shape, classes) in [
        (vec![3, 2], None),
        (vec![-1, -4], None),
        (vec![i64::MAX, 4], None),
        (vec![4], Some(Data::I64(vec![1, 2]))),
    ] {
        let output = Output { name: "p".to_owned(), shape, data: Data::F32(vec![0.0; 4]), classes };
        let bytes = encoded_response(&Response::Outputs { outputs: vec![output], warning: None });
        assert!(matches!(Response::decode(frame(&bytes)), Err(Error::DimensionMismatch { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutants_never_panic(which in 0..14_usize, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let all: Vec<Vec<u8>> =
            requests().iter().map(encoded_request).chain(responses().iter().map(encoded_response)).collect();
        let mut bytes = all[which % all.len()].clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(Some(frame)) = read_frame(&mut Cursor::new(&bytes)) {
            let _ = Request::decode(frame.clone());
            let _ = Response::decode(frame);
        }
    }
}
