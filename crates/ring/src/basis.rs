//! Arithmetic on whole polynomials over an ordered list of primes.

use crate::kernels::{self, Kernel};
use crate::{Coefficients, Error, Factor, Form, Modulus, NttTable, Poly, Scalar, Values, parallel};
use std::sync::Arc;
use zeroize::Zeroizing;

/// An ordered list of primes of one degree, with their transforms, and the kernel to compute with.
///
/// Cloning and sub-bases share the tables. Operations take polynomials with exactly the basis's limbs and
/// panic on others: which basis a polynomial belongs to is the caller's static knowledge.
#[derive(Debug, Clone)]
pub struct Basis {
    tables: Vec<Arc<NttTable>>,
    degree: usize,
    kernel: Kernel,
}

impl Basis {
    /// Builds the transforms of `primes` at `degree`.
    ///
    /// # Errors
    /// For a degree or prime out of range, or a prime without the roots that the transform needs.
    pub fn new(degree: usize, primes: &[u32], kernel: Kernel) -> Result<Self, Error> {
        let table = |&q: &u32| Ok(Arc::new(NttTable::new(Modulus::new(q.into())?, degree)?));
        Ok(Self { tables: primes.iter().map(table).collect::<Result<_, _>>()?, degree, kernel })
    }

    /// The basis of the primes at `indices`, in that order.
    pub fn select(&self, indices: impl IntoIterator<Item = usize>) -> Self {
        let tables = indices.into_iter().map(|i| self.tables[i].clone()).collect();
        Self { tables, degree: self.degree, kernel: self.kernel }
    }

    /// The same primes for polynomials with coefficients at multiples of `repeats` alone: see
    /// [`NttTable::subring`].
    ///
    /// # Errors
    /// For a degree that is out of range then.
    pub fn subring(&self, repeats: usize) -> Result<Self, Error> {
        let tables = self.tables.iter().map(|table| Ok(Arc::new(table.subring(repeats)?)));
        let tables = tables.collect::<Result<_, Error>>()?;
        Ok(Self { tables, degree: self.degree / repeats, kernel: self.kernel })
    }

    /// Words in a limb.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// How many primes there are.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there is no prime.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The instruction set that operations run on.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The transform of prime `index`.
    pub fn table(&self, index: usize) -> &NttTable {
        &self.tables[index]
    }

    /// Prime `index`.
    pub fn modulus(&self, index: usize) -> Modulus {
        self.tables[index].modulus()
    }

    /// The primes in order.
    pub fn moduli(&self) -> impl ExactSizeIterator<Item = Modulus> + '_ {
        self.tables.iter().map(|t| t.modulus())
    }

    /// The zero polynomial.
    pub fn zero<F: Form>(&self) -> Poly<F> {
        Poly::zero(self.degree, self.len())
    }

    /// A polynomial to be written in full: see [`Poly::scratch`].
    pub fn scratch<F: Form>(&self) -> Poly<F> {
        Poly::scratch(self.degree, self.len())
    }

    /// Integer coefficients modulo each prime; the running time does not depend on them.
    pub fn from_signed(&self, coefficients: &[i32]) -> Poly<Coefficients> {
        let mut poly = self.scratch();
        self.each(&mut poly, |table, limb| residues(table, limb, coefficients));
        poly
    }

    /// The factor that has these coefficients: as [`from_signed`](Self::from_signed),
    /// [`forward`](Self::forward) and [`to_factor`](Self::to_factor) one after the other give it, but each
    /// limb stays in the caches from its first word to its last.
    pub fn factor_from_signed(&self, coefficients: &[i32]) -> Poly<Factor> {
        let mut poly = self.scratch();
        self.each(&mut poly, |table, limb| {
            residues(table, limb, coefficients);
            kernels::ntt_forward(self.kernel, table, limb);
            times_radix(self.kernel, table.modulus(), limb);
        });
        poly
    }

    /// Integer coefficients of up to 62 bits modulo each prime; the running time does not depend on them.
    pub fn from_wide(&self, coefficients: &[i64]) -> Poly<Coefficients> {
        /// Every prime is larger than a digit of so many bits.
        const BITS: u32 = 16;
        assert_eq!(coefficients.len(), self.degree);
        let digit = |index: u32| {
            let digit = move |c: &i64| (c >> (index * BITS)) as u32 & ((1 << BITS) - 1);
            Zeroizing::new(coefficients.iter().map(digit).collect::<Vec<u32>>())
        };
        let lower = [2, 1, 0].map(digit);
        let mut poly = self.scratch();
        self.each(&mut poly, |table, limb| {
            let m = table.modulus();
            let radix = m.scalar(1 << BITS);
            for (x, &c) in limb.iter_mut().zip(coefficients) {
                let highest = (c >> (3 * BITS)) as i32;
                *x = (highest as u32).wrapping_add(m.value() & (highest >> 31) as u32);
            }
            for digits in &lower {
                kernels::mul_scalar(self.kernel, m, limb, radix);
                kernels::add(self.kernel, m, limb, digits);
            }
        });
        poly
    }

    /// Coefficients to values.
    pub fn forward(&self, mut poly: Poly<Coefficients>) -> Poly<Values> {
        self.each(&mut poly, |table, limb| kernels::ntt_forward(self.kernel, table, limb));
        poly.assume()
    }

    /// Values to coefficients.
    pub fn inverse(&self, mut poly: Poly<Values>) -> Poly<Coefficients> {
        self.each(&mut poly, |table, limb| kernels::ntt_inverse(self.kernel, table, limb));
        poly.assume()
    }

    /// Values to the factor that multiplies by them.
    pub fn to_factor(&self, mut poly: Poly<Values>) -> Poly<Factor> {
        self.each(&mut poly, |table, limb| times_radix(self.kernel, table.modulus(), limb));
        poly.assume()
    }

    /// `a += b`.
    pub fn add<F: Form>(&self, a: &mut Poly<F>, b: &Poly<F>) {
        self.zip(a, b, |m, x, y| kernels::add(self.kernel, m, x, y));
    }

    /// `a -= b`.
    pub fn sub<F: Form>(&self, a: &mut Poly<F>, b: &Poly<F>) {
        self.zip(a, b, |m, x, y| kernels::sub(self.kernel, m, x, y));
    }

    /// `a = -a`.
    pub fn negate<F: Form>(&self, a: &mut Poly<F>) {
        self.each(a, |table, limb| kernels::negate(self.kernel, table.modulus(), limb));
    }

    /// `a *= b`.
    pub fn mul(&self, a: &mut Poly<Values>, b: &Poly<Factor>) {
        self.zip(a, b, |m, x, y| kernels::mul(self.kernel, m, x, y));
    }

    /// Multiplies each limb by its own scalar.
    pub fn mul_scalars<F: Form>(&self, a: &mut Poly<F>, scalars: &[Scalar]) {
        assert_eq!(scalars.len(), self.len());
        let limbs = self.checked(a).zip(scalars);
        parallel::for_each(limbs, |((table, limb), &w)| {
            kernels::mul_scalar(self.kernel, table.modulus(), limb, w);
        });
    }

    fn checked<'a, F: Form>(
        &'a self,
        poly: &'a mut Poly<F>,
    ) -> impl ExactSizeIterator<Item = (&'a NttTable, &'a mut [u32])> {
        assert_eq!((poly.degree(), poly.limbs()), (self.degree, self.len()), "polynomial of another basis");
        self.tables.iter().map(Arc::as_ref).zip(poly.iter_mut())
    }

    fn each<F: Form>(&self, poly: &mut Poly<F>, body: impl Fn(&NttTable, &mut [u32]) + Sync + Send) {
        parallel::for_each(self.checked(poly), |(table, limb)| body(table, limb));
    }

    fn zip<F: Form, G: Form>(
        &self,
        a: &mut Poly<F>,
        b: &Poly<G>,
        body: impl Fn(Modulus, &mut [u32], &[u32]) + Sync + Send,
    ) {
        assert_eq!(b.limbs(), self.len(), "polynomial of another basis");
        let limbs = self.checked(a).zip(b.iter());
        parallel::for_each(limbs, |((table, x), y)| body(table.modulus(), x, y));
    }
}

/// Writes integer coefficients modulo a prime.
fn residues(table: &NttTable, limb: &mut [u32], coefficients: &[i32]) {
    assert_eq!(coefficients.len(), limb.len());
    let q = table.modulus().value();
    for (x, &c) in limb.iter_mut().zip(coefficients) {
        *x = (c as u32).wrapping_add(q & (c >> 31) as u32);
    }
}

/// Values to the words of the factor that multiplies by them.
fn times_radix(kernel: Kernel, m: Modulus, limb: &mut [u32]) {
    kernels::mul_scalar(kernel, m, limb, m.scalar(m.to_montgomery(1)));
}
