// Signs and verifies with the XML signatures of the JDK, as an independent reading of the standard.
//
//   verify CERTIFICATE DOCUMENT...          one line a document: valid, or invalid and why
//   judge CERTIFICATE DOCUMENT...           the same for any number of pairs, whatever the documents are
//   sign KEY ISSUER SERIAL DOCUMENT SIGNED  KEY is PKCS#8 in DER

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.List;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.SignedInfo;
import javax.xml.crypto.dsig.Transform;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.KeyInfoFactory;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;

public class XmlDsig {
    private static final XMLSignatureFactory FACTORY = XMLSignatureFactory.getInstance("DOM");

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("sign")) {
            sign(arguments);
            return;
        }
        if (arguments[0].equals("judge")) {
            for (int i = 1; i < arguments.length; i += 2) {
                System.out.println(judgeAnything(arguments[i], arguments[i + 1]));
            }
            return;
        }
        PublicKey key = keyOf(arguments[1]);
        for (int i = 2; i < arguments.length; i++) {
            System.out.println(judge(key, read(arguments[i])));
        }
    }

    private static PublicKey keyOf(String path) throws Exception {
        try (FileInputStream in = new FileInputStream(path)) {
            return CertificateFactory.getInstance("X.509").generateCertificate(in).getPublicKey();
        }
    }

    private static String judgeAnything(String certificate, String path) {
        try {
            return judge(keyOf(certificate), read(path));
        } catch (Exception error) {
            return "refused " + error.getClass().getSimpleName();
        }
    }

    private static Document read(String path) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder().parse(Path.of(path).toFile());
    }

    private static String judge(PublicKey key, Document document) throws Exception {
        var context = new DOMValidateContext(
            key, document.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature").item(0));
        context.setProperty("org.jcp.xml.dsig.secureValidation", true);
        XMLSignature signature = FACTORY.unmarshalXMLSignature(context);
        if (!signature.getSignatureValue().validate(context)) {
            return "invalid value";
        }
        return signature.validate(context) ? "valid" : "invalid digest";
    }

    private static void sign(String[] arguments) throws Exception {
        byte[] encoded = Files.readAllBytes(Path.of(arguments[1]));
        PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(encoded));
        Document document = read(arguments[4]);
        Reference reference = FACTORY.newReference(
            "",
            FACTORY.newDigestMethod(DigestMethod.SHA256, null),
            List.of(FACTORY.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null)),
            null,
            null);
        SignedInfo signedInfo = FACTORY.newSignedInfo(
            FACTORY.newCanonicalizationMethod(CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null),
            FACTORY.newSignatureMethod("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", null),
            List.of(reference));
        KeyInfoFactory keyInfos = FACTORY.getKeyInfoFactory();
        KeyInfo keyInfo = keyInfos.newKeyInfo(List.of(keyInfos.newX509Data(
            List.of(keyInfos.newX509IssuerSerial(arguments[2], new BigInteger(arguments[3]))))));
        var context = new DOMSignContext(key, document.getDocumentElement());
        context.setDefaultNamespacePrefix("ds");
        FACTORY.newXMLSignature(signedInfo, keyInfo).sign(context);
        try (FileOutputStream out = new FileOutputStream(arguments[5])) {
            TransformerFactory.newInstance().newTransformer().transform(new DOMSource(document), new StreamResult(out));
        }
    }
}
