//! The layer kernels that there are.

use crate::choice::LayerChoice;
use crate::coefficients::CoefficientKernel;
use crate::diagonals::DiagonalKernel;
use crate::im2col::Im2colKernel;
use crate::kernel::LayerKernel;

/// All of them, in the order in which the planner looks at them.
pub static ALL: [&dyn LayerKernel; 3] = [&DiagonalKernel, &Im2colKernel, &CoefficientKernel];

impl LayerChoice {
    /// The kernel that was chosen.
    pub fn kernel(&self) -> &'static dyn LayerKernel {
        match self {
            Self::Im2col { .. } => &Im2colKernel,
            Self::Diagonals { .. } => &DiagonalKernel,
            Self::Coefficients => &CoefficientKernel,
        }
    }
}
