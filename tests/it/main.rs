//! What Tidelog promises, one behaviour per file, through its public interface only.

mod model;
mod support;
