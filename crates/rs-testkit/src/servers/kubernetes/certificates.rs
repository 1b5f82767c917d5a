//! Certificates of a cluster of its own: one authority, the server's, and an administrator's.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// All as PEM.
#[derive(Clone)]
pub(super) struct Certificates {
    pub(super) authority: String,
    pub(super) server: Pair,
    pub(super) admin: Pair,
}

#[derive(Clone)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Certificates {
    pub(super) fn new() -> io::Result<Self> {
        Self::make().map_err(io::Error::other)
    }

    fn make() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "rs-testkit");
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);

        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
        let mut server = CertificateParams::new(names.map(str::to_owned))?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut admin = CertificateParams::default();
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let name = &mut admin.distinguished_name;
        name.push(DnType::CommonName, "admin");
        // The group that every API server lets do everything.
        name.push(DnType::OrganizationName, "system:masters");
        Ok(Self {
            authority,
            server: Pair::signed(&server, &issuer)?,
            admin: Pair::signed(&admin, &issuer)?,
        })
    }

    /// Connects as the administrator.
    pub(super) fn connector(&self) -> io::Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.authority.as_bytes()) {
            let certificate = certificate.map_err(io::Error::other)?;
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let chain = CertificateDer::pem_slice_iter(self.admin.certificate.as_bytes());
        let chain = chain.collect::<Result<_, _>>().map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(self.admin.key.as_bytes());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key.map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

impl Pair {
    fn signed(
        params: &CertificateParams,
        issuer: &Issuer<'_, KeyPair>,
    ) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: params.signed_by(&key, issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}
